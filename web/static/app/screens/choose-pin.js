// Activation, second half: a PIN is chosen, typed twice, and this device
// becomes a phone.

import { enrol } from '../activation.js';
import { go, redraw, show, state } from '../app.js';
import { button, h, keypad, notice, outcome } from '../dom.js';
import { whyRefused } from '../common-pins.js';
import { goLive, refresh } from '../live.js';
import { changePin } from '../phone.js';
import { day, say } from '../words.js';
import { pinPad } from '../../pin.js';
import { askNotifications } from './notifications.js';
import { outcomeOf } from './outcome.js';
import { wentWrong } from './parts.js';

/**
 * Has a new PIN chosen, and makes this device a phone with it.
 * @param {string} ticket the right to activate
 * @param {string} name of the professional
 */
export function choosePin(ticket, name) {
  chooseTwice((pin) => {
    working(say('app.activating'));
    enrol(ticket, name, pin).then(refresh).then(activated, failed);
  }, notice('success', 'done', h('p', null, say('app.ticket_for', { name }))));
}

/**
 * A PIN, typed twice, that is none of the commonest.
 * @param {(pin: string) => void} chosen
 * @param {HTMLElement} [remark] to begin with
 */
function chooseTwice(chosen, remark) {
  // words: app.pin_refused_*
  const pad = padScreen(say('app.pin_choose'), say('app.pin_choose_label'), remark, [
    h('p', null, say('app.pin_choose_what')),
  ], (pin) => {
    const why = whyRefused(pin);
    if (why !== '') {
      return pad.remark(notice('danger', 'alert',
        h('p', null, h('strong', null, say(`app.pin_refused_${why}`))), h('p', null, say('app.pin_refused_why'))));
    }
    padScreen(say('app.pin_repeat'), say('app.pin_repeat_label'), undefined, [], (again) => {
      if (again === pin) chosen(pin);
      else chooseTwice(chosen, notice('danger', 'alert', h('p', null, say('app.pin_differ'))));
    });
  });
}

/** Changing the PIN: the old one, then the new one twice. */
export function changePinScreens() {
  padScreen(say('app.pin_change'), say('app.pin_old'), undefined, [], (old) => chooseTwice((pin) => {
    working(say('app.pin_changing'));
    changePin(old, pin).then(() => show({
      title: say('app.pin_changed'),
      body: [h('section.card', null, outcome('', 'check', say('app.pin_changed'), h('p', null, say('app.pin_changed_what'))),
        h('div.acts', null, button('', say('app.continue'), () => go('settings'))))],
    }), outcomeOf);
  }));
}

/** @param {string} words */
function working(words) {
  show({ title: words, body: [h('section.card', null, h('h1', null, words), h('div.skeleton'))] });
}

/**
 * A screen that is a pad.
 * @param {string} title
 * @param {string} label
 * @param {HTMLElement | undefined} remark
 * @param {Node[]} words
 * @param {(pin: string) => void} full
 * @returns {{remark: (remark: HTMLElement) => void}} says what is wrong and empties the pad
 */
function padScreen(title, label, remark, words, full) {
  const { element } = keypad(label);
  const remarks = h('div', { role: 'alert' }, remark);
  const pad = pinPad(element, full);
  show({
    title,
    body: [h('section.card', null, h('h1', null, title), ...words, remarks, element)],
    leave: pad.stop,
  });
  return {
    remark(remark) {
      remarks.replaceChildren(remark);
      pad.clear();
    },
  };
}

function activated() {
  goLive();
  const { name = '', ends = 0 } = state.phone ?? {};
  history.replaceState(null, '', '#/');
  show({
    title: say('app.activated_title'),
    body: [h('section.card', null,
      outcome('', 'check', say('app.activated_title'), h('p', null, say('app.activated_what', { name, date: day(ends) }))),
      h('p', null, say('app.activated_next')),
      h('div.acts', null,
        button('', say('app.notifications_on'), () => void askNotifications(redraw), 'bell'),
        button('quiet', say('app.later'), () => go(''))))],
  });
}

/** @param {unknown} error */
function failed(error) {
  show({
    title: say('app.activation_failed'),
    body: [h('section.card', null,
      outcome('danger', 'alert', say('app.activation_failed')), wentWrong(error),
      h('div.acts', null, button('', say('app.start_again'), () => go('activate'))))],
  });
}
