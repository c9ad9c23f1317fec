vatyard_unit_test(broker_io_test io_test.c broker_io PkgConfig::CZMQ)
vatyard_unit_test(broker_allow_test allow_test.c broker_io)
