// Activation, first half: the three facts, then the two codes.

import { redeemCodes, sendCodes } from '../activation.js';
import { fact, go, now, show, state } from '../app.js';
import { button, digitsOf, field, groupDigits, h, notice } from '../dom.js';
import { Refused } from '../protocol.js';
import { clock, count, say } from '../words.js';
import { choosePin } from './choose-pin.js';
import { busy, wentWrong } from './parts.js';

const CODE = 8; // digits of each code

/** Asks for national id, mobile and e-mail, and has the two codes sent. */
export function askCodes() {
  const id = field({
    name: 'national_id', label: say('app.national_id'), hint: say('app.national_id_hint'),
    input: { class: 'digits', inputmode: 'numeric', autocomplete: 'username', maxlength: 24, required: true, value: state.draft?.nationalId },
  });
  const mobile = field({
    name: 'mobile', label: say('app.mobile'), hint: say('app.mobile_hint'),
    input: { type: 'tel', autocomplete: 'tel', maxlength: 24, required: true },
  });
  const email = field({
    name: 'email', label: say('app.email'),
    input: { type: 'email', autocomplete: 'email', maxlength: 254, required: true },
  });
  const fields = [
    { ...id, missing: () => digitsOf(id.input.value).length < 8, fault: id.fault, key: 'app.national_id_fault' },
    { ...mobile, missing: () => digitsOf(mobile.input.value).length < 9, fault: mobile.fault, key: 'app.mobile_fault' },
    { ...email, missing: () => !/.@./.test(email.input.value), fault: email.fault, key: 'app.email_fault' },
  ];
  const trouble = h('div', { role: 'alert' });
  const send = h('button.button', { type: 'submit' }, say('app.send_codes'));

  async function submit() {
    const wrong = fields.filter(({ missing, fault, key }) => {
      const isMissing = missing();
      fault(isMissing ? say(key) : '');
      return isMissing;
    });
    if (wrong.length > 0) return wrong[0].input.focus();
    trouble.replaceChildren();
    await sendCodes(id.input.value.trim(), mobile.input.value.trim(), email.input.value.trim());
    go('codes');
  }

  const form = h('form', { novalidate: true, onsubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    busy(send, submit()).catch((error) => {
      if (error instanceof Refused && error.code === 'national_id') {
        // words: app.national_id_is_*
        id.fault(say(`app.national_id_is_${String(error.answer.reason).replaceAll('-', '_')}`));
        id.input.focus();
      } else trouble.replaceChildren(wentWrong(error));
    });
  } }, id.element, mobile.element, email.element, trouble, h('div.acts', null, send));
  show({
    title: say('app.facts_title'),
    body: [h('section.card', null, h('h1', null, say('app.facts_title')), h('p', null, say('app.facts_why')), form)],
  });
}

/** Takes the two codes, and with them the right to activate this phone. */
export function typeCodes() {
  const sms = codeField('sms', say('app.code_sms'), 'one-time-code');
  const email = codeField('email_code', say('app.code_email'), 'off');
  const trouble = h('div', { role: 'alert' });
  const send = h('button.button', { type: 'submit' }, say('app.continue'));

  async function submit() {
    const wrong = [sms, email].filter(({ input, fault }) => {
      const isWrong = digitsOf(input.value).length !== CODE;
      fault(isWrong ? say('app.code_fault') : '');
      return isWrong;
    });
    if (wrong.length > 0) return wrong[0].input.focus();
    trouble.replaceChildren();
    const { ticket, name } = await redeemCodes(digitsOf(sms.input.value), digitsOf(email.input.value));
    choosePin(ticket, name);
  }

  const form = h('form', { novalidate: true, onsubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    busy(send, submit()).catch((error) => trouble.replaceChildren(codesRefused(error)));
  } }, sms.element, email.element, trouble, h('div.acts', null, send));
  show({
    title: say('app.codes_title'),
    body: [h('section.card', null,
      h('h1', null, say('app.codes_title')),
      h('p', null, say('app.codes_sent')),
      notice('', 'shield', h('p', null, say('app.codes_never'))),
      form,
      h('details', null, h('summary', null, say('app.codes_nothing')),
        h('ul.list', null,
          h('li', null, say('app.codes_nothing_facts')),
          h('li', null, say('app.codes_nothing_spam')),
          h('li', null, say('app.codes_nothing_limits')),
          fact('support') !== '' && h('li', null, say('app.support', { number: fact('support') })))),
      button('plain', say('app.codes_again'), () => go('activate')))],
  });
}

/**
 * @param {string} name
 * @param {string} label
 * @param {string} autocomplete
 */
function codeField(name, label, autocomplete) {
  const made = field({ name, label, hint: say('app.code_hint'), input: { class: 'digits', inputmode: 'numeric', autocomplete, maxlength: 24 } });
  groupDigits(made.input, CODE, 4);
  return made;
}

/** @param {unknown} error */
function codesRefused(error) {
  if (!(error instanceof Refused) || error.code !== 'wrong_codes') return wentWrong(error);
  const left = Number(error.answer.left ?? 0);
  return left > 0
    ? notice('danger', 'alert', h('p', null, h('strong', null, say('app.codes_wrong'))), h('p', null, count('app.codes_tries', left)))
    : notice('danger', 'alert', h('p', null, h('strong', null, say('app.codes_wrong'))),
      h('p', null, say('app.codes_no_tries', { until: clock(Number(error.answer.until ?? now())) })));
}
