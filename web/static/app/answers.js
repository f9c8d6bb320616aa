// Sending what was signed about a request, from the app or from its service
// worker: now, or when there is a network again.

import { call, Unreachable } from './protocol.js';
import { forgetUnsent, keepUnsent, unsentAnswers } from './store.js';

/**
 * @param {import('./keys.js').Signer} signer
 * @param {string} request
 * @param {string} document
 * @param {number} patience ms
 * @returns {Promise<any>}
 */
export function sendAnswer(signer, request, document, patience) {
  return call(signer, 'POST', `/phone/requests/${encodeURIComponent(request)}/answer`, { document }, { patience });
}

/**
 * Sends a refusal, report or leave; where nobody can be reached it is kept, and
 * sent again later.
 * @param {import('./keys.js').Signer} signer
 * @param {import('./store.js').Unsent} answer
 * @returns {Promise<'sent' | 'kept'>}
 */
export async function sendOrKeep(signer, answer) {
  // Kept first: the worker may be ended at any moment.
  await keepUnsent(answer);
  try {
    await sendAnswer(signer, answer.request, answer.document, 6000);
  } catch (error) {
    if (error instanceof Unreachable) return 'kept';
    await forgetUnsent(answer.request);
    throw error;
  }
  await forgetUnsent(answer.request);
  return 'sent';
}

/**
 * Sends what was kept, and drops what has expired by itself.
 * @param {import('./keys.js').Signer} signer
 */
export async function sendUnsent(signer) {
  for (const answer of await unsentAnswers()) {
    if (answer.until > Date.now()) {
      try {
        await sendAnswer(signer, answer.request, answer.document, 0);
      } catch (error) {
        if (error instanceof Unreachable) return;
      }
    }
    await forgetUnsent(answer.request);
  }
}
