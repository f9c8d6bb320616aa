// Forms whose answer leads back to a service: [data-leave]. Sent by script,
// because browsers hold a form's redirects to this page's policy all along the
// way, and a service may send its visitors on to addresses that nobody told us.

/**
 * Posts a form and goes where the answer says.
 * @param {string} action
 * @param {Record<string, string>} [fields]
 * @returns {Promise<boolean>} false when the server refused; a network that
 *   failed throws
 */
export async function leave(action, fields = {}) {
  const response = await fetch(action, {
    method: 'POST',
    headers: { Accept: 'application/json' },
    body: new URLSearchParams(fields),
  });
  const answer = await response.json();
  if (!response.ok || typeof answer.location !== 'string') return false;
  location.replace(answer.location);
  return true;
}

for (const form of document.querySelectorAll('form[data-leave]')) {
  if (!(form instanceof HTMLFormElement)) continue;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const gone = await leave(form.action).catch(() => false);
    if (!gone) form.submit(); // the server's page says what is wrong
  });
}
