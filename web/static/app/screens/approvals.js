// What was approved last, each with the red act that cuts it.

import { go, now, show, state } from '../app.js';
import { button, h, icon, outcome } from '../dom.js';
import { refresh } from '../live.js';
import { undo } from '../phone.js';
import { moment, say } from '../words.js';
import { busy, from, said, wentWrong } from './parts.js';

/** @returns {HTMLElement[]} nothing when nothing was approved */
export function approvalCards() {
  const list = state.me?.approvals ?? [];
  if (list.length === 0) return [];
  return [h('h2', null, say('app.last')), h('ul.cards', null, list.map((approval) => h('li.card', null,
    h('div.card-head', null,
      h('div', null, h('h3', null, approval.service), h('p.small', null, from(approval))),
      approval.undone === true
        ? h('span.badge', null, say('app.undone_badge'))
        : h('button.icon-button.cuts', { type: 'button', onclick: () => askUndo(approval.request, approval.service) }, icon('log-out'), say('app.undo'))),
    h('p.soft.small', null, moment(approval.at, now())))))];
}

/**
 * @param {string} request
 * @param {string} service name
 */
export function askUndo(request, service) {
  const trouble = h('div', { role: 'alert' });
  const yes = button('cut', say('app.undo_yes'), () => void busy(yes, undo(request)).then(() => undone(service),
    (error) => trouble.replaceChildren(wentWrong(error))), 'log-out');
  show({
    title: say('app.undo_title'),
    body: [h('section.card', null, outcome('danger', 'log-out', say('app.undo_title'), said('app.undo_what', { service })), trouble,
      h('div.acts', null, yes, button('quiet', say('app.back'), () => go(''))))],
  });
}

/** @param {string} service */
function undone(service) {
  void refresh();
  show({
    title: say('app.undone_title'),
    body: [h('section.card', null,
      outcome('', 'check', say('app.undone_title'), said('app.undone', { service }), h('p', null, say('app.undone_next'))),
      h('div.acts', null, button('', say('app.back_home'), () => go(''))))],
  });
}
