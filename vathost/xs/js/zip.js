/* The supervisor with what endoZipBase64 needs: zip, base64, compartment-mapper. */
import './boot.js';
import { importBundle } from '@endo/import-bundle';
import { supervise } from './supervisor.js';

supervise({
  endoZipBase64: (bundle, globals, _Compartment, inescapable) =>
    importBundle(bundle, { endowments: globals, inescapableGlobalProperties: inescapable }),
});
