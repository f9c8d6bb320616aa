// A phone API that only answers: for looking at screens that a real server shows
// after minutes, days or mistakes. What calls mean is tested against the real one.

const EPOCH = 'E'.repeat(42) + 'A'; // 32 bytes in base64url

/** What GET /phone/me says of a phone that is well. */
export function wellPhone() {
  return {
    phone: 'fake', professional: { name: 'Dr Anne Martin', last4: '0017' }, state: 'active', wakes: true, misses: 0, silent: false,
    subscription: false, vapid: '', epoch: EPOCH, ends: Date.now() + 1000 * 86_400_000, requests: [], approvals: [], now: Date.now(),
  };
}

/** @param {object} [over] @param {object} [shown] */
export function fakeRequest(over = {}, shown = {}) {
  return {
    id: 'REQUEST', service: 'vaccin', browser: 'B'.repeat(43), kept: '', keepable: false, lane: 'ring', by: 'ring', needs_code: false,
    expires: Date.now() + 119_000, state: 'pending', more_left: 3,
    shown: JSON.stringify({ service: 'Vaccin AmeliPRO', agent: 'Firefox', system: 'Windows', place: 'CHU de Rennes', asked: Date.now() - 12_000, script: true, ...shown }),
    ...over,
  };
}

/**
 * Answers the phone API of a page.
 * @param {import('playwright-core').Page} page
 * @param {{me: object, answers: Record<string, [number, object]>, down?: boolean, calls?: {path: string, body: any}[]}} fake
 *   answers: by "METHOD /path", status and body; calls: what was called
 */
export async function fakePhoneAPI(page, fake) {
  await page.route('**/phone/**', async (route) => {
    const request = route.request();
    const { pathname } = new URL(request.url());
    const body = request.postDataJSON();
    fake.calls?.push({ path: `${request.method()} ${pathname}`, body });
    if (fake.down) return route.abort();
    const [status, answer] = fake.answers[`${request.method()} ${pathname}`] ?? usual(pathname, fake.me, body);
    return route.fulfill({ status, json: answer, headers: { 'DPoP-Nonce': 'fake' } });
  });
}

/** @param {string} path @param {object} me @param {any} body @returns {[number, object]} */
function usual(path, me, body) {
  if (path === '/phone/me') return [200, { ...me, now: Date.now() + (me.ahead ?? 0) }];
  // Whatever was blinded is an element too.
  if (path.endsWith('/evaluate')) return [200, { evaluation: 'EVALUATION', epoch: EPOCH, element: body.element }];
  if (path === '/phone/epochs') return [200, { epoch: EPOCH, now: Date.now() }];
  if (path === '/phone/codes') return [202, {}];
  if (path === '/phone/tickets') return [200, { ticket: 'TICKET', name: 'Dr Anne Martin' }];
  if (path === '/phone/activations') return [201, { phone: 'fake', name: 'Dr Anne Martin', ends: Date.now() + 1000 * 86_400_000 }];
  if (path === '/phone/events') return [503, {}];
  return [200, {}];
}

/**
 * Makes the browser of a page an activated phone, without any activation.
 * @param {import('playwright-core').Page} page
 * @param {string} app its origin
 */
export async function pretendActivated(page, app) {
  await page.goto(`${app}/static/vigie.css`); // any document of that origin
  await page.evaluate(async () => {
    const load = (/** @type {string} */ name) => import(`/static/app/${name}.js`);
    const [{ newKey }, { keep }, { random, base64url }] = await Promise.all([load('keys'), load('store'), load('bytes')]);
    const signer = await newKey();
    await keep('phone', {
      ...signer, secret: random(32), epoch: base64url(random(32)), iss: 'https://fake.example', name: 'Dr Anne Martin', ends: Date.now() + 1000 * 86_400_000,
    });
  });
}
