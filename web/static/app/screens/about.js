// About: what this is, what it keeps and does not, whom to call.

import { version } from '../activation.js';
import { fact, go, show, state } from '../app.js';
import { button, h } from '../dom.js';
import { say } from '../words.js';

export function about() {
  show({
    title: say('app.about'),
    body: [h('section.card', null,
      h('h1', null, say('app.about')),
      h('p', null, say('app.about_what')),
      h('h2', null, say('app.about_pin_title')),
      h('p', null, say('app.about_pin')),
      h('h2', null, say('app.about_data_title')),
      h('p', null, say('app.about_data')),
      h('h2', null, say('app.about_lost_title')),
      h('p', null, say('app.about_lost')),
      fact('support') !== '' && h('p', null, h('a', { href: `tel:${fact('support').replace(/[^0-9+]/g, '')}` }, say('app.support', { number: fact('support') }))),
      fact('portal') !== '' && h('p', null, h('a', { href: fact('portal') }, say('app.about_portal'))),
      h('p.soft.small', null, say('app.about_version', { version: version() })),
      h('div.acts', null, button('quiet', say('app.back'), () => go(state.phone === undefined ? '' : 'settings'), 'back')))],
  });
}
