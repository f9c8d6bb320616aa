// Clients that know nothing of Vigie sign somebody in: npm's openid-client, and
// Apache with mod_auth_openidc as Debian ships it.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { exportJWK, generateKeyPair } from 'jose';
import * as openid from 'openid-client';
import { endsWithUs, startDemo, terminalPhone, until, vigie } from './demo.mjs';
import { launchChromium } from './launch.mjs';
import { Desk, PIN } from './people.mjs';

/** @type {import('./demo.mjs').Demo} */
let demo;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof terminalPhone>>} */
let phone;
/** @type {string} */
let folder;
/** @type {import('node:http').Server} */
let landing;
/** @type {string} where openid-client's browsers are sent back to */
let landed;

before(async () => {
  demo = await startDemo();
  browser = await launchChromium();
  folder = await mkdtemp(join(tmpdir(), 'vigie-clients-'));
  landing = createServer((_, response) => response.end('back'));
  landed = `http://localhost:${await listen(landing)}`;
  phone = await terminalPhone(demo, demo.professionals[0], PIN);
});

after(async () => {
  await browser?.close();
  landing?.close();
  landing?.closeAllConnections();
  await demo?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** @param {import('node:http').Server} server @returns {Promise<number>} its free port */
async function listen(server) {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  return /** @type {import('node:net').AddressInfo} */ (server.address()).port;
}

/** @param {string} name @param {...string} more @returns {Promise<{id: string, secret: string}>} */
function register(name, ...more) {
  return vigie('service', 'add', '--data', demo.data, '--name', name, ...more);
}

/** @param {import('node:test').TestContext} t */
async function arrive(t) {
  const desk = await Desk.open(browser, demo);
  t.after(() => desk.close());
  return desk;
}

/**
 * A person at a desk that a client has sent to the portal.
 * @param {Desk} desk
 */
async function approve(desk) {
  await desk.page.locator('#national_id').fill(demo.professionals[0].national_id);
  await desk.press('form_go');
  await phone.approve(await desk.code());
}

/**
 * Sends the desk's browser from a client to the portal and back.
 * @param {Desk} desk
 * @param {openid.Configuration} client
 * @param {{par?: boolean}} [options]
 */
async function signIn(desk, client, { par = false } = {}) {
  const checks = { pkceCodeVerifier: openid.randomPKCECodeVerifier(), expectedState: openid.randomState(), expectedNonce: openid.randomNonce(), idTokenExpected: true };
  const parameters = {
    redirect_uri: `${landed}/callback`, scope: 'openid scope_all', acr_values: 'eidas1', state: checks.expectedState, nonce: checks.expectedNonce,
    code_challenge: await openid.calculatePKCECodeChallenge(checks.pkceCodeVerifier), code_challenge_method: 'S256',
  };
  const url = par ? await openid.buildAuthorizationUrlWithPAR(client, parameters) : openid.buildAuthorizationUrl(client, parameters);
  if (par) assert.deepEqual([...url.searchParams.keys()].sort(), ['client_id', 'request_uri']);
  await desk.page.goto(url.href);
  await approve(desk);
  await desk.page.waitForURL(`${landed}/callback?*`);
  return openid.authorizationCodeGrant(client, new URL(desk.page.url()), checks);
}

test('openid-client with a secret: code, userinfo, refresh, introspection, revocation, logout', async (t) => {
  const desk = await arrive(t);
  const { id, secret } = await register('Client de test', '--redirect-uri', `${landed}/callback`, '--logout-uri', `${landed}/bye`);
  const client = await openid.discovery(new URL(demo.issuer), id, undefined, openid.ClientSecretBasic(secret), { execute: [openid.allowInsecureRequests] });

  const tokens = await signIn(desk, client);
  const claims = tokens.claims();
  assert.ok(claims && tokens.refresh_token && tokens.id_token);
  assert.equal(claims.acr, 'eidas1');
  assert.match(claims.sub, /^f:.+:899700000017$/);

  const about = await openid.fetchUserInfo(client, tokens.access_token, claims.sub);
  assert.equal(about.family_name, 'MARTIN');
  assert.equal(about.SubjectNameID, '899700000017');

  const state = await openid.tokenIntrospection(client, tokens.access_token);
  assert.equal(state.active, true);
  assert.equal(state.preferred_username, '899700000017');

  const fresh = await openid.refreshTokenGrant(client, tokens.refresh_token);
  assert.notEqual(fresh.access_token, tokens.access_token);
  assert.ok(fresh.refresh_token);
  await openid.fetchUserInfo(client, fresh.access_token, claims.sub);

  await openid.tokenRevocation(client, fresh.refresh_token);
  assert.equal((await openid.tokenIntrospection(client, fresh.refresh_token)).active, false);
  await assert.rejects(openid.refreshTokenGrant(client, fresh.refresh_token), { error: 'invalid_grant' });

  // Signing out ends the portal's session too, and comes back.
  const bye = openid.buildEndSessionUrl(client, { id_token_hint: tokens.id_token, post_logout_redirect_uri: `${landed}/bye`, state: 'ended' });
  await desk.page.goto(bye.href);
  await desk.page.waitForURL(`${landed}/bye?state=ended`);
  await desk.page.goto(`${demo.base}/fin-de-poste`);
  await desk.heading('end_done_title');
});

test('openid-client with private_key_jwt and a pushed request', async (t) => {
  const desk = await arrive(t);
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const kid = 'test';
  const jwks = join(folder, 'jwks.json');
  await writeFile(jwks, JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }] }));
  const { id } = await register('Client à clé', '--redirect-uri', `${landed}/callback`, '--auth', 'private_key_jwt', '--jwks', jwks);
  const client = await openid.discovery(new URL(demo.issuer), id, undefined, openid.PrivateKeyJwt({ key: privateKey, kid }), { execute: [openid.allowInsecureRequests] });

  const tokens = await signIn(desk, client, { par: true });
  const claims = tokens.claims();
  assert.ok(claims);
  const about = await openid.fetchUserInfo(client, tokens.access_token, claims.sub);
  assert.equal(about.preferred_username, '899700000017');

  // Another key of the same name opens nothing.
  const stranger = await generateKeyPair('ES256');
  const other = await openid.discovery(new URL(demo.issuer), id, undefined, openid.PrivateKeyJwt({ key: stranger.privateKey, kid }), { execute: [openid.allowInsecureRequests] });
  await assert.rejects(openid.refreshTokenGrant(other, tokens.refresh_token ?? ''), { error: 'invalid_client' });
  await openid.refreshTokenGrant(client, tokens.refresh_token ?? '');
});

test('mod_auth_openidc lets in who signed in, and out again', async (t) => {
  const desk = await arrive(t);
  const probe = createServer();
  const port = await listen(probe);
  await new Promise((resolve) => probe.close(resolve));
  const site = `http://localhost:${port}`;
  const { id, secret } = await register('Serveur Apache', '--redirect-uri', `${site}/callback`, '--logout-uri', `${site}/bye/`);
  const apache = await startApache({ port, site, id, secret });
  t.after(() => apache.stop());
  try {
    await desk.page.goto(`${site}/`);
    await desk.page.getByText('Serveur Apache', { exact: true }).waitFor();
    await approve(desk);
    await desk.page.waitForURL(`${site}/`);
    assert.equal(await desk.page.locator('#user').textContent(), '899700000017');
    assert.equal(await desk.page.locator('#name').textContent(), 'MARTIN');

    await desk.page.goto(`${site}/callback?logout=${encodeURIComponent(`${site}/bye/`)}`);
    await desk.page.waitForURL((at) => at.href.startsWith(`${site}/bye/`));
    await desk.page.goto(`${site}/`);
    await desk.heading('form_who'); // has to sign in again
  } catch (error) {
    t.diagnostic(await readFile(join(folder, 'apache', 'error.log'), 'utf8'));
    throw error;
  }
});

/**
 * Apache with nothing but the module and a page that says who came.
 * @param {{port: number, site: string, id: string, secret: string}} options
 */
async function startApache({ port, site, id, secret }) {
  const root = join(folder, 'apache');
  await mkdir(join(root, 'www', 'bye'), { recursive: true });
  await writeFile(join(root, 'www', 'index.html'), '<!doctype html><title>Apache</title><p id="user"><!--#echo var="REMOTE_USER" --></p><p id="name"><!--#echo var="OIDC_CLAIM_family_name" --></p>');
  await writeFile(join(root, 'www', 'bye', 'index.html'), '<!doctype html><title>Apache</title><p>bye</p>');
  const modules = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'dir', 'mime', 'include', 'auth_openidc'];
  await writeFile(join(root, 'apache.conf'), `
ServerRoot "${root}"
DefaultRuntimeDir "${root}"
PidFile "${root}/pid"
ErrorLog "${root}/error.log"
ServerName localhost
Listen 127.0.0.1:${port}
${modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
TypesConfig /etc/mime.types
DocumentRoot "${root}/www"

OIDCProviderMetadataURL ${demo.issuer}/.well-known/wallet-openid-configuration
OIDCClientID ${id}
OIDCClientSecret ${secret}
OIDCRedirectURI ${site}/callback
OIDCCryptoPassphrase ${randomBytes(24).toString('hex')}
OIDCScope "openid scope_all"
OIDCPKCEMethod S256
OIDCAuthRequestParams acr_values=eidas1
OIDCRemoteUserClaim preferred_username

<Location />
  Options +Includes
  SetOutputFilter INCLUDES
  AuthType openid-connect
  <RequireAll>
    Require valid-user
    Require claim authMode:MOBILE
  </RequireAll>
</Location>
<Location /bye>
  Require all granted
</Location>
`);
  // Apache does not serve as root: then it runs as its own user.
  const user = process.getuid?.() === 0 ? { uid: await idOf('-u'), gid: await idOf('-g') } : {};
  if (user.uid !== undefined) {
    await chown(root, user.uid, user.gid);
    await promisify(execFile)('chmod', ['711', folder]);
  }
  const child = endsWithUs(spawn('/usr/sbin/apache2', ['-f', join(root, 'apache.conf'), '-DFOREGROUND'], { stdio: ['ignore', 'inherit', 'inherit'], ...user }));
  const ended = once(child, 'exit');
  await until('Apache', () => {
    if (child.exitCode !== null) throw new Error('Apache ended; its error.log says why');
    return fetch(`${site}/bye/`).then((answer) => answer.ok, () => false);
  });
  return {
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** @param {string} which option of id(1) */
async function idOf(which) {
  return Number((await promisify(execFile)('id', [which, 'www-data'])).stdout);
}
