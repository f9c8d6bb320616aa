// Before a phone is activated: what this is, and on iOS why it must first be on
// the home screen.

import { fact, go, show } from '../app.js';
import { button, h, notice, svg } from '../dom.js';
import { canInstall, install, isInstalled } from '../platform.js';
import { rich, say } from '../words.js';

/** The first screen of a device that is no phone of ours yet. */
export function welcome() {
  show({
    title: say('app.welcome_title'),
    body: [h('section.card', null,
      h('h1', null, say('app.welcome_title')),
      h('p', null, say('app.welcome_what')),
      h('h2', null, say('app.welcome_need')),
      h('ul.list', null,
        h('li', null, say('app.welcome_need_id')),
        h('li', null, say('app.welcome_need_mobile')),
        h('li', null, say('app.welcome_need_email'))),
      h('div.acts', null,
        button('', say('app.activate'), () => go('activate'), 'phone'),
        canInstall() && !isInstalled() && button('quiet', say('app.install_optional'), () => void install(), 'download')),
      h('p.soft.small', null, say('app.welcome_other')),
      h('p', null, h('a', { href: '#/about' }, say('app.about')))),
    ],
  });
}

/** iOS, in a browser's tab: activation is refused, with the reason and the way. */
export function installFirst() {
  show({
    title: say('app.install_title'),
    body: [h('section.card', null,
      h('h1', null, say('app.install_title')),
      h('p', null, say('app.install_why')),
      h('ol.steps', null,
        h('li', null, h('p', null, rich('app.install_share')), picture(shareSymbol())),
        h('li', null, h('p', null, rich('app.install_add')), picture(addSymbol())),
        h('li', null, h('p', null, rich('app.install_open')),
          h('div.picture', null, h('img', { src: new URL('../../img/vigie.svg', import.meta.url).href, alt: '', width: 56, height: 56 }),
            h('span', { 'aria-hidden': 'true' }, 'Vigie')))),
      notice('', 'info', h('p', null, say('app.install_old')))),
    fact('support') !== '' && h('p.soft.small', null, say('app.support', { number: fact('support') })),
    ],
  });
}

/** @param {SVGElement} symbol */
function picture(symbol) {
  return h('div.picture', { 'aria-hidden': 'true' }, symbol);
}

// The two symbols that iOS shows, which no icon set of ours has.
function shareSymbol() {
  return svg('svg', { class: 'icon', viewBox: '0 0 24 24' },
    svg('path', { d: 'M12 15V3M8 6.5 12 2.5l4 4M8 10H6.5A1.5 1.5 0 0 0 5 11.5v8A1.5 1.5 0 0 0 6.5 21h11a1.5 1.5 0 0 0 1.5-1.5v-8a1.5 1.5 0 0 0-1.5-1.5H16' }));
}

function addSymbol() {
  return svg('svg', { class: 'icon', viewBox: '0 0 24 24' },
    svg('rect', { x: 3.5, y: 3.5, width: 17, height: 17, rx: 4 }), svg('path', { d: 'M12 8v8M8 12h8' }));
}
