# What DUMP prints for WHAT must be FILE: a table was changed, and the printed file was not.
execute_process(COMMAND ${DUMP} ${WHAT} OUTPUT_VARIABLE printed RESULT_VARIABLE result)
file(READ ${FILE} stands)
if(NOT result EQUAL 0 OR NOT printed STREQUAL stands)
  message(FATAL_ERROR "${FILE} is stale: cmake --build BUILD --target wire_docs")
endif()
