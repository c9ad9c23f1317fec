// Makes an object that a vat it knows nothing of is to hold.
import { Far } from '@endo/far';

export const buildRootObject = () => Far('root', { createHeld: () => Far('held', {}) });
