vatyard_unit_test(broker_store_test store_test.c broker_store PkgConfig::SQLITE)
