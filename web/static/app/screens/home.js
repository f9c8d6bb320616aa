// Home: the code of the screen in front of you, requests that wait, and what
// was approved last.

import { announce, now, show, state } from '../app.js';
import { digitsOf, field, groupDigits, h, notice } from '../dom.js';
import { Refused } from '../protocol.js';
import { claim, shown } from '../requests.js';
import { ago, clock, count, say } from '../words.js';
import { approvalCards } from './approvals.js';
import { busy, from, logo, said, standingNotices, wentWrong, whenChanged } from './parts.js';
import { showRequest } from './request.js';
import { needsNotifications } from './notifications.js';

/** Codes have six digits, or eight where six would not do. */
const LENGTHS = [6, 8];

export function home() {
  const notices = h('div.stack');
  const waiting = h('section.stack', { 'aria-label': say('app.waiting') });
  const approvals = h('section.stack');

  const drawNotices = whenChanged(() => {
    const { me, offline, ahead } = state;
    return [offline, Math.round(ahead / 60_000), me?.state, me?.paused_until, me?.silent, me?.subscription];
  }, () => notices.replaceChildren(...standingNotices(), ...phoneNotices()));

  const drawWaiting = whenChanged(() => waitingRequests().map(({ id }) => id), () => {
    const requests = waitingRequests();
    waiting.replaceChildren(...waitingCards(requests));
    waiting.hidden = requests.length === 0;
    if (requests.length > 0) announce(count('app.waiting_announced', requests.length));
  });

  const drawApprovals = whenChanged(() => state.me?.approvals ?? [], () => approvals.replaceChildren(...approvalCards()));

  function draw() {
    drawNotices();
    drawWaiting();
    drawApprovals();
    for (const age of waiting.querySelectorAll('[data-asked]')) {
      if (age instanceof HTMLElement) age.textContent = ago(now() - Number(age.dataset.asked));
    }
  }

  const timer = setInterval(draw, 5000);
  draw();
  show({
    title: say('app.home'),
    body: [
      h('h1', null, say('app.hello', { name: state.me?.professional.name ?? state.phone?.name ?? '' })),
      notices, waiting, codeCard(), approvals,
    ],
    update: draw,
    leave: () => clearInterval(timer),
  });
}

function codeCard() {
  const code = field({
    name: 'code', label: say('app.code_title'), hint: say('app.code_where'),
    input: { class: 'digits typed-code', inputmode: 'numeric', autocomplete: 'off', maxlength: 16, enterkeyhint: 'go' },
  });
  const trouble = h('div', { role: 'alert' });
  const send = h('button.button', { type: 'submit' }, say('app.continue'));
  groupDigits(code.input, Math.max(...LENGTHS), 3, () => code.fault(''));

  async function submit() {
    const digits = digitsOf(code.input.value);
    if (!LENGTHS.includes(digits.length)) {
      code.fault(say('app.code_digits'));
      return code.input.focus();
    }
    trouble.replaceChildren();
    try {
      showRequest(await claim(digits));
    } catch (error) {
      code.input.select();
      trouble.replaceChildren(...claimRefused(error));
    }
  }

  // Scanning the screen's QR code will have its button in these acts.
  return h('section.card', null, h('form', { novalidate: true, onsubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    void busy(send, submit());
  } }, code.element, trouble, h('div.acts', null, send)));
}

/** @param {unknown} error */
export function claimRefused(error) {
  if (!(error instanceof Refused)) return [wentWrong(error)];
  switch (error.code) {
    case 'unknown_code':
      return [notice('danger', 'alert', h('p', null, h('strong', null, say('app.code_unknown'))),
        said('app.code_compare', { end: error.answer.last4 ?? state.me?.professional.last4 ?? '' }))];
    case 'replaced_code':
      return [notice('warn', 'clock', h('p', null, h('strong', null, say('app.code_replaced'))), h('p', null, say('app.code_replaced_next')))];
    case 'codes_paused':
      return [notice('warn', 'clock', h('p', null, h('strong', null, say('app.codes_paused', { until: clock(error.answer.until) }))),
        h('p', null, say('app.codes_paused_why')))];
    default:
      return [wentWrong(error)];
  }
}

/** What of this phone needs its holder. */
function phoneNotices() {
  /** @type {HTMLElement[]} */
  const list = [];
  const { me } = state;
  if (me === undefined) return list;
  if (me.state === 'paused' && (me.paused_until ?? 0) > now()) {
    list.push(notice('warn', 'lock', h('p', null, h('strong', null, say('app.paused_title', { until: clock(me.paused_until ?? 0) }))),
      h('p', null, say('app.paused_what'))));
  }
  if (me.silent) {
    list.push(notice('', 'bell-off', h('p', null, say('app.silent_what')), h('p', null, h('a', { href: '#/settings' }, say('app.silent_undo')))));
  } else {
    const element = h('div');
    void needsNotifications().then((needed) => {
      if (needed) {
        element.replaceChildren(notice('', 'bell', h('p', null, say('app.no_notifications')),
          h('p', null, h('a', { href: '#/settings' }, say('app.see_settings')))));
      }
    });
    list.push(element);
  }
  return list;
}

/** @returns {import('../requests.js').Request[]} */
function waitingRequests() {
  return (state.me?.requests ?? []).filter((request) => request.expires > now());
}

/** @param {import('../requests.js').Request[]} requests */
function waitingCards(requests) {
  if (requests.length === 0) return [];
  return [h('h2', null, count('app.waiting_title', requests.length)), h('ul.cards', null, requests.map((request) => {
    const facts = shown(request);
    return h('li.card.asks', null,
      h('div.service', null, logo(request.service, facts.service), h('h3', null, facts.service)),
      h('p', null, from(facts)),
      h('p.soft.small', { 'data-asked': facts.asked }),
      h('a.button', { href: `#/request/${encodeURIComponent(request.id)}` }, say('app.answer')));
  }))];
}
