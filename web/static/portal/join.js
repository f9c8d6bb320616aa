// A browser that its professional kept for themselves goes into one more
// service of the same session: the lasting key signs, and nobody is asked.
// Without the key the server asks for an approval, or tells the service so.

import { findLastingKey, sign } from './keys.js';
import { leave } from './leave.js';

const page = document.querySelector('[data-join]');

/** @param {DOMStringMap} data */
async function prove(data) {
  const key = await findLastingKey();
  if (key === undefined || key.thumbprint !== data.kept) return '';
  return sign(key, { use: 'join', request: data.session ?? '', service: data.service ?? '', professional: '', key: '', nonce: data.nonce ?? '' });
}

if (page instanceof HTMLElement) {
  const path = page.dataset.join ?? '';
  const proof = await prove(page.dataset).catch(() => '');
  const gone = await leave(`${path}/continue`, { proof }).catch(() => false);
  if (!gone) location.replace(`${path}?step=form`);
}
