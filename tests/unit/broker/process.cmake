vatyard_unit_test(broker_process_test process_test.c wire_codec PkgConfig::CZMQ PkgConfig::SQLITE)
add_dependencies(broker_process_test vatbroker)
