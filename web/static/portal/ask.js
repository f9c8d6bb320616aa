// Forms that ask to sign in: [data-ask]. Before one is sent, this browser's
// keys are put into it; a remembered name also signs that this professional's
// phone may ring. Where keys cannot be made, the form goes as it is.

import { lastingKey, requestKey, sign } from './keys.js';

const page = document.querySelector('[data-authorization]');
const authorization = page instanceof HTMLElement ? page.dataset.authorization ?? '' : '';
const loaded = performance.now();
const PATIENCE = 3000; // ms for keys to be made

const keys = Promise.all([requestKey(authorization), lastingKey()]);
keys.catch(() => {}); // the form is then sent without them

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 * @param {string} value
 */
function fill(form, name, value) {
  let field = form.elements.namedItem(name);
  if (!(field instanceof HTMLInputElement)) {
    field = Object.assign(document.createElement('input'), { type: 'hidden', name });
    form.append(field);
  }
  /** @type {HTMLInputElement} */ (field).value = value;
}

/** The page's nonce, or a new one when the page has stood for long. @returns {Promise<string>} */
async function nonce() {
  const shown = page instanceof HTMLElement ? page.dataset.nonce ?? '' : '';
  if (shown !== '' && performance.now() - loaded < 4 * 60 * 1000) return shown;
  const response = await fetch(`/login/${authorization}/state`, { headers: { Accept: 'application/json' } });
  const state = await response.json();
  return state.status === 'new' ? state.nonce : shown;
}

/** @param {HTMLFormElement} form */
async function prepare(form) {
  const [request, lasting] = await keys;
  fill(form, 'key', request.jwk);
  fill(form, 'lasting', lasting.jwk);
  const { professional, kept } = form.dataset;
  if (professional === undefined || kept !== lasting.thumbprint) return;
  fill(form, 'proof', await sign(lasting, {
    use: 'ring',
    request: authorization,
    service: page instanceof HTMLElement ? page.dataset.service ?? '' : '',
    professional,
    key: request.thumbprint,
    nonce: await nonce(),
  }));
}

/** @param {HTMLFormElement} form */
function watch(form) {
  let sent = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (sent) return;
    sent = true;
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE));
    await Promise.race([prepare(form).catch(() => {}), late]);
    form.submit();
  });
  // Back from the next page: the form may be sent again.
  addEventListener('pageshow', () => (sent = false));
}

for (const form of document.querySelectorAll('form[data-ask]')) {
  if (form instanceof HTMLFormElement) watch(form);
}
