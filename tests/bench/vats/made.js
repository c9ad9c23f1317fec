// A vat that a vat makes.
import { Far } from '@endo/far';

export const buildRootObject = () => Far('made', { hello: () => 'hello' });
