// Gives back what it gets, and compares what it gets with what it would have made itself.
import { Far } from '@endo/far';
import { makePassables, same } from './passables.js';

export const buildRootObject = () => {
  const own = makePassables();
  const identities = ['remotable', 'promise']; // alice's, not ours
  return Far('bob', {
    echo: values => values,
    compare: theirs =>
      harden(
        Object.keys(own).filter(
          name => !identities.includes(name) && !same(own[name], theirs[name]),
        ),
      ),
  });
};
