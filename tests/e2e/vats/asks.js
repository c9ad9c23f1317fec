/* Evaluates what it is told to, with the globals that its cluster file asks for. */
import { Far } from '@endo/far';

export const buildRootObject = () => {
  const kept = new Map();
  return Far('root', {
    bootstrap: () => 'here',
    do: async source => harden(await Function('kept', `return ${source}`)(kept)),
  });
};
