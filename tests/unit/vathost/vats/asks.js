/* Evaluates what it is told to: the globals that it finds are those that it asked for. */
import { Far } from '@endo/far';

/* Used before the kernel's object is there. */
if (typeof setTimeout === 'function') setTimeout(() => console.log('set while the module was evaluated'), 20);

export const buildRootObject = (_vatPowers, parameters) => {
  const kept = new Map();
  return Far('root', {
    parameters: () => parameters,
    do: async source => harden(await Function('kept', `return ${source}`)(kept)),
  });
};
