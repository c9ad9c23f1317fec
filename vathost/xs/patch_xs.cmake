# Four places where this XS (13.3.0) costs the square of what a crank does. Each is replaced in a copy
# of the file in the build tree; the exact text is looked for, so a version of XS that reads otherwise
# stops the build. Together: 4,000 sends in one crank take less than 2 s instead of more than 10.
#
# slots   XS grows its heap only when a collection frees nothing at all (the test for a heap that
#         collects again and again clears its own flag): platform.c says how much room there should be.
# chunks  The same for the space of strings and buffers, and by how much it grows (step).
# jobs    A promise job is added behind the last by walking over all that wait: platform.c knows the last.
set(XS_PATCH_slots_from "		allocate = wasThrashing && isThrashing;")
set(XS_PATCH_slots_to "		extern txSize platform_slots_wanted(txMachine*);
		txSize wanted = platform_slots_wanted(the);
		allocate = 0;
		if (wanted) { fxGrowSlots(the, wanted); }")
set(XS_PATCH_chunks_from "		fxCollect(the, XS_COMPACT_FLAG | XS_ORGANIC_FLAG);
		*once = 0;
		goto again;
	}
	return C_NULL;")
set(XS_PATCH_chunks_to "		extern txSize platform_chunks_wanted(txMachine*, txSize);
		fxCollect(the, XS_COMPACT_FLAG | XS_ORGANIC_FLAG);
		*once = 0;
		if (platform_chunks_wanted(the, 0)) return C_NULL;
		goto again;
	}
	return C_NULL;")
set(XS_PATCH_step_from "	txBlock* block = fxGrowChunks(the, size);")
set(XS_PATCH_step_to "	extern txSize platform_chunks_wanted(txMachine*, txSize);
	txBlock* block = fxGrowChunks(the, platform_chunks_wanted(the, size));")
set(XS_PATCH_jobs_from "	while ((slot = *address)) 
		address = &(slot->next);
	slot = *address = fxNewSlot(the);	
	slot->kind = XS_REFERENCE_KIND;")
set(XS_PATCH_jobs_to "	extern txSlot** platform_jobs_end(txMachine*, txSlot**);
	extern void platform_jobs_last(txMachine*, txSlot*);
	address = platform_jobs_end(the, address);
	slot = *address = fxNewSlot(the);	
	platform_jobs_last(the, slot);
	slot->kind = XS_REFERENCE_KIND;")

function(xs_patch from to)
  file(READ ${from} text)
  foreach(patch ${ARGN})
    string(FIND "${text}" "${XS_PATCH_${patch}_from}" at)
    if(at EQUAL -1)
      message(FATAL_ERROR "${from} is not the file that patch_xs.cmake knows (${patch})")
    endif()
    string(REPLACE "${XS_PATCH_${patch}_from}" "${XS_PATCH_${patch}_to}" text "${text}")
  endforeach()
  file(CONFIGURE OUTPUT ${to} CONTENT "@text@" @ONLY)
endfunction()
