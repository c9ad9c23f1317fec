/* Fetches. What happened is kept in order, as one vat would see it. */
/* global fetch */
import { Far } from '@endo/far';

export const buildRootObject = () => {
  const seen = [];
  const words = e => `${e.name}: ${e.message}`;
  const ask = async (url, options) => {
    const answer = await fetch(url, options);
    return harden({
      status: answer.status,
      statusText: answer.statusText,
      url: answer.url,
      redirected: answer.redirected,
      type: answer.headers.get('content-type'),
      text: await answer.text(),
    });
  };
  return Far('fetcher', {
    bootstrap: () => 'here',
    fetch: (url, options) => ask(url, options),
    tries: (url, options) => ask(url, options).then(({ status, text }) => `${status} ${text}`, words),
    begin(url, options) {
      ask(url, options).then(({ text }) => seen.push(text), e => seen.push(words(e)));
      return 'begun';
    },
    seen: () => harden([...seen]),
  });
};
