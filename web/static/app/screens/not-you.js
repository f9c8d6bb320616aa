// "Not you?": leave, report, or silence the phone.

import { show, state } from '../app.js';
import { button, h, icon } from '../dom.js';
import { shown, turnDown } from '../requests.js';
import { silence } from '../phone.js';
import { rich, say } from '../words.js';
import { outcomeOf, refused } from './outcome.js';
import { serviceHead } from './parts.js';

/**
 * @param {import('../requests.js').Request} held
 * @param {() => void} back
 */
export function notYou(held, back) {
  const { service } = shown(held);
  let answered = false;

  /**
   * @param {'refuse' | 'report'} decision
   * @param {boolean} block
   */
  async function answer(decision, block) {
    if (answered) return;
    answered = true;
    try {
      const sent = await turnDown(held, decision);
      if (block) await silence(true);
      refused(block ? 'block' : decision, sent, service);
    } catch (error) {
      outcomeOf(error);
    }
  }

  const way = (/** @type {string} */ name, /** @type {string} */ symbol, /** @type {() => void} */ act) => h('li', null,
    h('button.choice', { type: 'button', onclick: act }, icon(symbol),
      // words: app.not_you_*
      h('span', null, h('span.choice-name', null, say(`app.not_you_${name}`)), h('span.choice-more', null, say(`app.not_you_${name}_more`))), icon('chevron')));
  show({
    title: say('app.not_you'),
    body: [h('section.card', null,
      serviceHead(held),
      h('h1', null, say('app.not_you')),
      h('p', null, rich('app.not_you_what')),
      h('ul.choices', null,
        way('refuse', 'no', () => void answer('refuse', false)),
        way('report', 'alert', () => void answer('report', false)),
        state.me?.silent !== true && way('block', 'bell-off', () => void answer('report', true))),
      h('div.acts', null, button('quiet', say('app.back_to_request'), back, 'back')))],
  });
}
