// What every vat gets, whichever kernel it was written for.
import { Far } from '@endo/far';

export const buildRootObject = (vatPowers, parameters, baggage) => {
  const { logger } = vatPowers;
  logger.log('logger speaks');
  logger.subLogger({ tags: ['sub'] }).warn('sub-logger warns');
  console.error('console errs');
  const again = baggage.has('seen');
  if (!again) baggage.init('seen', 1);
  return Far('root', {
    bootstrap(vats, services) {
      return {
        powers: Object.keys(vatPowers).sort(),
        parameters,
        vats: Object.keys(vats).sort(),
        services: Object.keys(services ?? {}),
        baggage: baggage.get('seen'),
        text: new TextDecoder().decode(new TextEncoder().encode('öß😀')),
        frozen: Object.isFrozen(harden({ a: 1 })),
        assert: typeof assert === 'function' && typeof assert.fail,
        process: typeof process,
        // Asked for by its name on the global: bundlers put something of their own in its place.
        require: typeof globalThis['req' + 'uire'],
      };
    },
  });
};
