// Sends values as deep as a body may be to bob and back, and says whether they are still that deep.
import { E, Far } from '@endo/far';
import { makeTagged } from '@endo/pass-style';

const wrap = {
  array: value => [value],
  record: value => ({ a: value }),
  tagged: value => makeTagged('t', value),
};
const unwrap = { array: value => value[0], record: value => value.a, tagged: value => value.payload };

const nest = (kind, depth) => {
  let value = 'core';
  for (let i = 0; i < depth; i += 1) value = harden(wrap[kind](value));
  return value;
};

const depthOf = (kind, value) => {
  let depth = 0;
  for (; value !== 'core'; depth += 1) value = unwrap[kind](value);
  return depth;
};

export const buildRootObject = (_, { depth = 1 } = {}) =>
  Far('deep', {
    async bootstrap({ bob }) {
      const depths = [];
      for (const kind of Object.keys(wrap)) {
        depths.push(depthOf(kind, await E(bob).echo(nest(kind, depth))));
      }
      return harden(depths);
    },
    echo: value => value,
  });
