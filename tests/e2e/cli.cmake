# The examples of vatctl, and how fast its help is.
if(TARGET vatctl AND TARGET vathost AND TARGET vatbroker)
  add_test(NAME e2e_cli_examples COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/cli_examples.sh
    $<TARGET_FILE:vatctl> ${CMAKE_SOURCE_DIR}/cli/examples)
  vatyard_test_properties(e2e_cli_examples e2e 600)
  add_test(NAME e2e_cli_instances COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/cli_instances.sh $<TARGET_FILE:vatctl>)
  vatyard_test_properties(e2e_cli_instances e2e 300)
  add_test(NAME e2e_cli_gc COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/cli_gc.sh $<TARGET_FILE:vatctl>
    ${CMAKE_CURRENT_LIST_DIR}/vats)
  vatyard_test_properties(e2e_cli_gc e2e 300)
  foreach(name registry upgrade clusters)
    add_test(NAME e2e_cli_${name} COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/cli_${name}.sh $<TARGET_FILE:vatctl>
      ${CMAKE_CURRENT_LIST_DIR}/vats)
    vatyard_test_properties(e2e_cli_${name} e2e 300)
  endforeach()
endif()
