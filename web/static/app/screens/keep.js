// "Keep this browser?": asked after the PIN, answered before anything is signed.

import { now, show } from '../app.js';
import { h, icon } from '../dom.js';
import { shown } from '../requests.js';
import { say } from '../words.js';
import { serviceHead } from './parts.js';

const SPARE = 10_000; // ms before the request's end at which silence means "no"

/**
 * @param {import('../requests.js').Request} held
 * @returns {Promise<'mine' | 'shared' | 'no'>}
 */
export function keepQuestion(held) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve('no'), Math.max(0, held.expires - now() - SPARE));
    const choice = (/** @type {'mine' | 'shared' | 'no'} */ keep, /** @type {string} */ symbol) => h('li', null,
      h('button.choice', { type: 'button', onclick: () => answer(keep) }, icon(symbol),
        // words: app.keep_*
        h('span', null, h('span.choice-name', null, say(`app.keep_${keep}`)), h('span.choice-more', null, say(`app.keep_${keep}_more`))), icon('chevron')));
    const list = h('ul.choices', null, choice('no', 'x'), choice('mine', 'screen'), choice('shared', 'user'));

    /** @param {'mine' | 'shared' | 'no'} keep */
    function answer(keep) {
      list.replaceWith(h('p', { role: 'status' }, say('app.checking')));
      resolve(keep);
    }

    const { agent, system } = shown(held);
    show({
      title: say('app.keep_title'),
      body: [h('section.card', null, serviceHead(held), h('h1', null, say('app.keep_title')),
        h('p', null, agent === '' || system === '' ? say('app.keep_what') : say('app.keep_what_browser', { agent, system })), list)],
      leave: () => clearTimeout(timer),
    });
  });
}
