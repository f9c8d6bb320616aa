// What was approved last, each with the red act that cuts it.

import { go, now, show, state } from '../app.js';
import { button, h, icon, outcome } from '../dom.js';
import { refresh } from '../live.js';
import { undo } from '../phone.js';
import { moment, say } from '../words.js';
import { from, said, wentWrong } from './parts.js';

/** @returns {HTMLElement[]} nothing when nothing was approved */
export function approvalCards() {
  const list = state.me?.approvals ?? [];
  if (list.length === 0) return [];
  return [h('h2', null, say('app.last')), h('ul.cards', null, list.map((approval) => h('li.card', null,
    h('div.card-head', null,
      h('div', null, h('h3', null, approval.service), h('p.small', null, from(approval))),
      approval.undone === true
        ? h('span.badge', null, say('app.undone_badge'))
        : h('button.icon-button.cuts', { type: 'button', onclick: () => cut(approval.request, approval.service) }, icon('log-out'), say('app.undo'))),
    h('p.soft.small', null, moment(approval.at, now())))))];
}

/**
 * Cuts at once: whoever presses it may have no second to lose.
 * @param {string} request
 * @param {string} service name
 */
export function cut(request, service) {
  show({ title: say('app.undoing'), body: [h('section.card', null, h('h1', null, say('app.undoing')), h('div.skeleton'))] });
  undo(request).then(() => {
    void refresh();
    show({
      title: say('app.undone_title'),
      body: [h('section.card', null,
        outcome('', 'check', say('app.undone_title'), said('app.undone', { service }), h('p', null, say('app.undone_browser')), h('p', null, say('app.undone_next'))),
        h('div.acts', null, button('', say('app.back_home'), () => go(''))))],
    });
  }, (error) => show({
    title: say('app.not_undone_title'),
    body: [h('section.card', null, outcome('danger', 'alert', say('app.not_undone_title')), wentWrong(error),
      h('div.acts', null, button('cut', say('app.try_again'), () => cut(request, service), 'log-out'), button('quiet', say('app.back_home'), () => go(''))))],
  }));
}
