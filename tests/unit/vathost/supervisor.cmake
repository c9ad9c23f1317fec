foreach(test supervisor_test supervisor_rules_test supervisor_gc_test supervisor_hostile_test supervisor_upgrade_test)
  vatyard_unit_test(${test} ${test}.c vat_support)
endforeach()
vatyard_unit_test(clist_test clist_test.c vat_support)
vatyard_unit_test(native_test native_test.c vat_support host_native)
vatyard_unit_test(vatdb_test vatdb_test.c vat_support host_store)
foreach(test worker_test worker_checkpoint_test)
  vatyard_unit_test(${test} ${test}.c vat_support host_worker host_store wire_pages)
  target_sources(${test} PRIVATE worker_rig.c)
endforeach()
vatyard_unit_test(host_io_test host_io_test.c host_io)

# Guests without processes.
add_library(guests_rig STATIC guests_rig.c ${PROJECT_SOURCE_DIR}/vathost/guests.c
  ${PROJECT_SOURCE_DIR}/vathost/guests_bundle.c ${PROJECT_SOURCE_DIR}/vathost/guests_move.c
  ${PROJECT_SOURCE_DIR}/vathost/guests_start.c ${PROJECT_SOURCE_DIR}/vathost/guests_worker.c)
target_link_libraries(guests_rig PUBLIC host_io wire_codec PkgConfig::CRITERION)
vatyard_unit_test(guests_test guests_test.c guests_rig)
vatyard_unit_test(guests_life_test guests_life_test.c guests_rig)
vatyard_unit_test(guests_move_test guests_move_test.c guests_rig)

# A host without a network and without processes.
add_library(vathost_rig STATIC vathost_rig.c ${PROJECT_SOURCE_DIR}/vathost/vathost.c
  ${PROJECT_SOURCE_DIR}/vathost/vathost_session.c ${PROJECT_SOURCE_DIR}/vathost/vathost_zygote.c)
target_link_libraries(vathost_rig PUBLIC guests_rig)
foreach(test vathost_session_test vathost_end_test vathost_zygote_test)
  vatyard_unit_test(${test} ${test}.c vathost_rig)
endforeach()
