// What stands in the way of using this phone, with the one next step.

import { fact, go, now, redraw, show, state } from '../app.js';
import { button, h, keypad, notice, outcome } from '../dom.js';
import { refresh } from '../live.js';
import { wake } from '../phone.js';
import { Refused } from '../protocol.js';
import { forget } from '../store.js';
import { clock, say } from '../words.js';
import { pinPad } from '../../pin.js';
import { approvalCards } from './approvals.js';
import { wentWrong } from './parts.js';

/** @returns {(() => void) | undefined} draws what stands in the way; undefined if nothing does */
export function trouble() {
  if (state.unknown) return () => over('unknown', 'phone');
  switch (state.me?.state) {
    case 'disabled': return () => over('disabled', 'lock');
    case 'removed': return () => over('removed', 'phone');
    case 'ended': return () => over('ended', 'clock');
    case 'asleep': return state.me.wakes === false ? departed : asleep;
    default: return undefined;
  }
}

/**
 * A phone that must be activated again.
 * @param {string} how key of the words
 * @param {string} symbol
 */
function over(how, symbol) {
  // words: app.over_*
  async function again() {
    await forget('phone');
    Object.assign(state, { phone: undefined, me: undefined, unknown: false });
    go('activate');
    redraw();
  }
  show({
    title: say(`app.over_${how}_title`),
    body: [h('section.card', null,
      outcome('warn', symbol, say(`app.over_${how}_title`), h('p', null, say(`app.over_${how}`))),
      how === 'disabled' && notice('', 'info', h('p', null, say('app.over_disabled_wait'))),
      h('div.acts', null, button('', say('app.activate_again'), () => void again(), 'phone')),
      support()), h('section.stack', null, approvalCards())],
  });
}

function support() {
  const number = fact('support');
  return number !== '' && h('p.small', null, h('a', { href: `tel:${number.replace(/[^0-9+]/g, '')}` }, say('app.support', { number })));
}

/** Its professional left the register: nothing to do here. */
function departed() {
  show({
    title: say('app.departed_title'),
    body: [h('section.card', null, outcome('warn', 'user', say('app.departed_title'), h('p', null, say('app.departed'))),
      h('div.acts', null, button('quiet', say('app.check_again'), () => void refresh(), 'refresh')), support())],
  });
}

/** Put to sleep by its holder: the PIN wakes it. */
function asleep() {
  const remarks = h('div', { role: 'alert' });
  const { element } = keypad(say('app.asleep_label'));
  const pad = pinPad(element, (pin) => {
    wake(pin).then(refresh).catch((error) => {
      pad.clear();
      remarks.replaceChildren(wakeFailed(error));
    });
  });
  show({
    title: say('app.asleep_title'),
    body: [h('section.card', null, h('h1', null, say('app.asleep_title')), h('p', null, say('app.asleep')), remarks, element)],
    leave: pad.stop,
  });
}

/** @param {unknown} error */
function wakeFailed(error) {
  if (!(error instanceof Refused)) return wentWrong(error);
  const until = Number(error.answer.paused_until ?? error.answer.until ?? 0);
  if (until > now()) return notice('warn', 'lock', h('p', null, say('app.paused_title', { until: clock(until) })));
  if (error.code === 'wrong_pin') return notice('danger', 'alert', h('p', null, say('app.pin_wrong')));
  return wentWrong(error);
}

/**
 * This browser lacks something that the app cannot do without.
 * @param {string} reason end of a words key
 */
export function cannotRun(reason) {
  show({
    title: say('app.unsupported_title'),
    body: [h('section.card', null,
      outcome('warn', 'alert', say('app.unsupported_title'), h('p', null, say(`app.unsupported_${reason}`)), h('p', null, say('app.unsupported_next'))), support())],
  });
}
