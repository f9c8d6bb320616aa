// What became of a request, and what to do now.

import { fact, go, now, redraw, show } from '../app.js';
import { button, h, notice, outcome } from '../dom.js';
import { refresh } from '../live.js';
import { Refused, Unreachable } from '../protocol.js';
import { clock, count, rich, say } from '../words.js';
import { cut } from './approvals.js';
import { said, wentWrong } from './parts.js';

/**
 * @param {'' | 'warn' | 'danger'} kind
 * @param {string} symbol
 * @param {string} title
 * @param {(Node | false)[]} words
 * @param {Node | false} [act] beside the way home
 */
function tell(kind, symbol, title, words, act = false) {
  history.replaceState(null, '', '#/');
  show({
    title,
    body: [h('section.card', null, outcome(kind, symbol, title, ...words),
      h('div.acts', null, button('', say('app.back_home'), () => go('')), act))],
  });
  void refresh();
}

/**
 * A request that is over.
 * @param {string} state of the request
 * @param {{service?: string, misses?: number, request?: string}} [details] of an approval made here
 */
export function ended(state, details = {}) {
  const { service, misses = 0, request } = details;
  if (service !== undefined && request !== undefined && state === 'approved') {
    return tell('', 'check', say('app.done_title'), [
      said('app.done', { service }),
      h('p.soft', null, say('app.done_screen')),
      misses > 0 && notice('warn', 'info', h('p', null, count('app.done_misses', misses))),
    ], button('cut', say('app.undo_now'), () => cut(request, service), 'log-out'));
  }
  switch (state) {
    case 'expired':
      return tell('warn', 'clock', say('app.expired_title'), [h('p', null, say('app.expired'))]);
    case 'replaced':
    case 'cancelled':
      return tell('', 'screen', say('app.gone_title'), [h('p', null, say('app.gone'))]);
    case 'refused':
    case 'reported':
    case 'left':
      return tell('', 'no', say('app.elsewhere_refused_title'), [h('p', null, say('app.elsewhere_refused'))]);
    default:
      return tell('', 'info', say('app.elsewhere_title'), [h('p', null, say('app.elsewhere')),
        fact('support') !== '' && h('p.small', null, say('app.elsewhere_support', { number: fact('support') }))]);
  }
}

/**
 * A request that was turned down here.
 * @param {'refuse' | 'report' | 'leave' | 'block'} decision
 * @param {'sent' | 'kept'} sent
 * @param {string} service
 */
export function refused(decision, sent, service) {
  if (sent === 'kept') {
    return tell('warn', 'offline', say('app.unsent_title'), [h('p', null, say('app.unsent', { service }))]);
  }
  switch (decision) {
    case 'leave':
      return tell('', 'log-out', say('app.left_title'), [h('p', null, say('app.left', { service }))]);
    case 'report':
      return tell('', 'shield', say('app.reported_title'), [h('p', null, say('app.reported', { service })), h('p', null, say('app.reported_next'))]);
    case 'block':
      return tell('', 'bell-off', say('app.blocked_title'), [h('p', null, say('app.blocked')), h('p.soft', null, rich('app.blocked_undo'))]);
    default:
      return tell('', 'no', say('app.refused_title'), [h('p', null, say('app.refused', { service }))]);
  }
}

/** @param {number} until Unix milliseconds */
function paused(until) {
  tell('warn', 'lock', say('app.paused_title', { until: clock(until) }), [h('p', null, say('app.paused_why')), h('p', null, say('app.paused_what'))]);
}

/**
 * What to show when a call about a request was refused or reached nobody.
 * @param {unknown} error
 */
export function outcomeOf(error) {
  if (error instanceof Unreachable) {
    return tell('warn', 'offline', say('app.offline'), [h('p', null, say('app.offline_request'))]);
  }
  if (error instanceof Refused) {
    const until = Number(error.answer.paused_until ?? error.answer.until ?? 0);
    switch (error.code) {
      case 'expired':
        return ended('expired');
      case 'answered':
        return ended(typeof error.answer.state === 'string' ? error.answer.state : 'answered');
      case 'unknown_request':
        return ended('gone');
      case 'wrong_pin':
        return until > now() ? paused(until) : tell('danger', 'alert', say('app.pin_wrong'), [h('p', null, say('app.pin_wrong_again'))]);
      case 'paused':
        return paused(until);
      case 'disabled':
      case 'asleep':
      case 'ended':
      case 'removed':
        // The phone itself is in the way: that screen says more.
        return void refresh().then(redraw);
    }
  }
  return tell('danger', 'alert', say('app.broken_title'), [wentWrong(error)]);
}
