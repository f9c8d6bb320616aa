// A request: who asks, from where, since when; the PIN; and the ways to say no.

import { announce, now, show, state } from '../app.js';
import { button, digitsOf, field, groupDigits, h, keypad, notice, svg } from '../dom.js';
import { Refused } from '../protocol.js';
import { approve, claim, more, open, shown, turnDown } from '../requests.js';
import { ago, count, say } from '../words.js';
import { pinPad } from '../../pin.js';
import { startCountdown } from '../../countdown.js';
import { claimRefused } from './home.js';
import { keepQuestion } from './keep.js';
import { notYou } from './not-you.js';
import { ended, outcomeOf, refused } from './outcome.js';
import { from, said, serviceHead, standingNotices, wentWrong } from './parts.js';

/**
 * The screen of an address: fetches the request and shows it.
 * @param {string} id
 */
export function request(id) {
  show({ title: say('app.request_title'), body: [h('section.card', null, h('h1', null, say('app.request_title')), h('div.skeleton'), h('div.skeleton'))] });
  open(id).then((found) => (found.state === 'pending' ? showRequest(found) : ended(found.state)), (error) => outcomeOf(error));
}

/**
 * @param {import('../requests.js').Request} held
 * @param {HTMLElement} [remark] about what was just typed
 */
export function showRequest(held, remark) {
  const facts = shown(held);
  history.replaceState(null, '', `#/request/${encodeURIComponent(held.id)}`);
  const since = performance.now();
  const remarks = h('div', { role: 'alert' }, remark);
  const age = h('p.soft', null, asked(facts));
  const ageTimer = setInterval(() => age.replaceChildren(asked(facts)), 5000);
  const time = countdown(held, () => void goneOver());
  const act = held.needs_code ? codeStep(held) : pinStep(held, remarks, (typing) => (busy = typing));
  let busy = false;
  let over = false;

  async function goneOver() {
    if (busy || over) return;
    over = true;
    await open(held.id).then((found) => (found.state === 'pending' ? showRequest(found) : ended(found.state)), outcomeOf);
  }

  show({
    title: say('app.request_title'),
    body: [h('section.card.request', null,
      ...standingNotices(),
      serviceHead(held),
      h('h1', null, say('app.request_title')),
      said('app.request_asks', { service: facts.service }),
      h('div.whence', null, h('p', null, h('strong', null, from(facts))), age),
      !facts.script && notice('warn', 'alert', h('p', null, say('app.request_no_script'))),
      time.element,
      remarks,
      act.element,
      h('div.acts', null, button('refuse', say('app.refuse'), () => void decide('refuse'), 'no')),
      h('div.acts.links', null,
        button('plain', say('app.not_you'), () => notYou(held, () => showRequest(held))),
        button('plain', say('app.leave'), () => void decide('leave'))))],
    update() {
      if (busy || state.asked < since) return;
      const fresh = state.me?.requests.find(({ id }) => id === held.id);
      if (fresh === undefined) return void (state.offline || goneOver());
      if (fresh.expires !== held.expires) {
        Object.assign(held, { expires: fresh.expires, more_left: fresh.more_left });
        time.restart();
      }
    },
    leave() {
      clearInterval(ageTimer);
      time.stop();
      act.stop();
    },
  });

  /** @param {'refuse' | 'leave'} decision */
  async function decide(decision) {
    if (busy) return;
    busy = true;
    try {
      refused(decision, await turnDown(held, decision), facts.service);
    } catch (error) {
      outcomeOf(error);
    }
  }
}

/** @param {import('../requests.js').Shown} facts */
function asked(facts) {
  return say('app.request_age', { ago: ago(now() - facts.asked) });
}

/**
 * What is left of the request's time, and "one more minute".
 * @param {import('../requests.js').Request} held
 * @param {() => void} over
 */
function countdown(held, over) {
  const ring = svg('svg', { class: 'ring small', viewBox: '0 0 112 112', role: 'img' },
    svg('circle', { class: 'ring-ground', cx: 56, cy: 56, r: 50 }),
    svg('circle', { class: 'ring-left', cx: 56, cy: 56, r: 50, pathLength: 100, 'stroke-dasharray': '100 100' }),
    svg('text', { x: 56, y: 66 }));
  const again = button('quiet', say('app.more'), () => void ask(), 'clock');
  const element = h('div.time', { 'data-words': formsOf('common.time_left') }, ring, h('p.unseen', { role: 'status' }), again);
  let stop = () => {};

  function restart() {
    stop();
    const left = Math.max(0, Math.ceil((held.expires - now()) / 1000));
    element.dataset.left = String(left);
    element.dataset.whole = String(Math.max(left, 120));
    again.hidden = held.more_left <= 0;
    again.title = count('app.more_left', held.more_left);
    stop = startCountdown(element, over);
  }

  async function ask() {
    again.disabled = true;
    try {
      Object.assign(held, await more(held.id));
      restart();
      announce(say('app.more_given'));
    } catch (error) {
      if (error instanceof Refused && error.code !== 'no_more') outcomeOf(error);
      else again.hidden = true;
    } finally {
      again.disabled = false;
    }
  }

  restart();
  return { element, restart, stop: () => stop() };
}

/** @param {string} key */
function formsOf(key) {
  // startCountdown takes both forms and fills {n} itself.
  return `${count(key, 1, { n: '{n}' })}|${count(key, 2, { n: '{n}' })}`;
}

/**
 * A ring on a shared post: first the code of the screen, then the PIN.
 * @param {import('../requests.js').Request} held
 */
function codeStep(held) {
  const code = field({
    name: 'code', label: say('app.code_first'), hint: say('app.code_first_why'),
    input: { class: 'digits typed-code', inputmode: 'numeric', autocomplete: 'off', maxlength: 16, enterkeyhint: 'go' },
  });
  const trouble = h('div', { role: 'alert' });
  groupDigits(code.input, 8, 3, () => code.fault(''));
  const element = h('form', { novalidate: true, onsubmit: async (/** @type {Event} */ event) => {
    event.preventDefault();
    const digits = digitsOf(code.input.value);
    if (digits.length < 6) return code.fault(say('app.code_digits'));
    try {
      const claimed = await claim(digits);
      // The code may be that of another screen: then that is what is shown.
      showRequest(claimed, claimed.id === held.id ? undefined : notice('warn', 'alert', h('p', null, say('app.code_other'))));
    } catch (error) {
      code.input.select();
      trouble.replaceChildren(...claimRefused(error));
    }
  } }, code.element, trouble, h('div.acts', null, h('button.button', { type: 'submit' }, say('app.continue'))));
  return { element, stop() {} };
}

/**
 * @param {import('../requests.js').Request} held
 * @param {HTMLElement} remarks
 * @param {(busy: boolean) => void} isBusy
 */
function pinStep(held, remarks, isBusy) {
  const made = keypad(say('app.enter_pin'));
  const pad = pinPad(made.element, (pin) => void typed(pin));

  /** @param {string} pin */
  async function typed(pin) {
    isBusy(true);
    remarks.replaceChildren();
    const slow = setTimeout(() => made.label.replaceChildren(say('app.checking')), 300);
    try {
      const keep = held.keepable ? await keepQuestion(held) : 'no';
      const { misses = 0 } = await approve(held, pin, keep);
      ended('approved', { service: shown(held).service, misses, request: held.id });
    } catch (error) {
      await failed(error);
    } finally {
      clearTimeout(slow);
    }
  }

  /** @param {unknown} error */
  async function failed(error) {
    if (error instanceof Refused && error.code === 'wrong_pin' && !(error.answer.paused_until > now())) {
      const { misses } = error.answer;
      return showRequest(await open(held.id).catch(() => held), notice('danger', 'alert',
        h('p', null, h('strong', null, say('app.pin_wrong'))), h('p', null, consequence(misses))));
    }
    if (error instanceof Refused) return outcomeOf(error);
    showRequest(held, wentWrong(error));
  }

  return { element: made.element, stop: pad.stop };
}

/**
 * What the next wrong PINs will cost.
 * @param {number} misses in a row
 */
function consequence(misses) {
  if (misses < 3) return count('app.pin_left_pause', 3 - misses);
  if (misses < 5) return count('app.pin_left_hour', 5 - misses);
  return count('app.pin_left_disabled', Math.max(1, 8 - misses));
}
