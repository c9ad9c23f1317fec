# Places where this XS (13.3.0) costs the square of what a crank does, or of what a vat holds. Each is
# replaced in a copy of the file in the build tree; the exact text is looked for, so a version of XS that
# reads otherwise stops the build. The first four: 4,000 sends in one crank take less than 2 s instead of
# more than 10. The others: a vat may hold a million objects, and lose them.
#
# slots   XS grows its heap only when a collection frees nothing at all (the test for a heap that
#         collects again and again clears its own flag): platform.c says how much room there should be.
# chunks  The same for the space of strings and buffers, and by how much it grows (step).
# jobs    A promise job is added behind the last by walking over all that wait: platform.c knows the last.
# purge   Map and Set walk over all entries to unlink one that was deleted. Deleted entries, which iterators
#         know to skip, now stay until there are more of them than of the others: their number is in the
#         unused half of the size. The last entry always stays: an iterator that stands on it, or before it,
#         finds what is added later.
# keep    What a job made or read through a WeakRef is looked for in a list: platform.c has a table.
# cells   FinalizationRegistry walks over all its cells to add one: the unused half of the slot with its
#         callback now points at the last.
# organic A snapshot is preceded by a collection of the kind that XS makes when it needs room, which treats a
#         WeakRef as a reference, and not of the kind that gc() makes: so nobody in the vat can tell whether
#         there was a snapshot. weakly: what only a WeakRef holds is then alive, and part of the snapshot.
# deleted What was deleted from a Map or Set, and still stands in its list (purge), is not an entry when a
#         snapshot is read, but counted again.
# order   A snapshot lists slots in the order of their addresses, oldest heap first, and not as they are found. What
#         came from the golden snapshot then stands where it stood there, and compresses to next to nothing.
# unknown A slot that cannot be written is an error of the snapshot, not a slot of zeros.
# deep    What is nested deeply (lists made of lists, Maps in Maps) is walked over by functions that call
#         themselves: with the last of the C stack, platform.c gives them another one. Before, 45,000 levels
#         ended the vat at its next collection, or crashed its process in a snapshot (deep_index).
# stack   Where the stack ends is asked of the system for every regular expression, which reads a file to
#         say it: now once for a thread. A regular expression took 100 us to make. In a crank the answer is
#         platform.c's, or how deep a vat may go would depend on what stands on the stack above it.
#
# And two where it is wrong:
#
# base64  Base64.decode() makes room for less than it writes when "=" stands where none belongs, and looks at
#         what stands before an empty text. It cuts the buffer to its length at the end anyway.
# not     A negated set that begins with U+0000 ([^\x00-\x7F]) matches everything.
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
set(XS_PATCH_purge_map_from "	size->value.integer = 0;
 	return map;")
set(XS_PATCH_purge_map_to "	size->value.bufferInfo.length = 0;
	size->value.bufferInfo.maxLength = 0;
 	return map;")
set(XS_PATCH_purge_set_from "	size->value.integer = 0;
 	return set;")
set(XS_PATCH_purge_set_to "	size->value.bufferInfo.length = 0;
	size->value.bufferInfo.maxLength = 0;
 	return set;")
set(XS_PATCH_purge_declared_from "static void fxPurgeEntries(txMachine* the, txSlot* list);")
set(XS_PATCH_purge_declared_to "static void fxPurgeEntries(txMachine* the, txSlot* list, txBoolean paired);")
set(XS_PATCH_purge_cleared_from "	list->next->value.integer = 0;
	fxResizeEntries(the, table, list);
	fxPurgeEntries(the, list);
}")
set(XS_PATCH_purge_cleared_to "	list->next->value.integer = 0;
	fxResizeEntries(the, table, list);
	fxPurgeEntries(the, list, paired);
}")
set(XS_PATCH_purge_deleted_from "				fxResizeEntries(the, table, list);
				fxPurgeEntries(the, list);
				return 1;")
set(XS_PATCH_purge_deleted_to "				fxResizeEntries(the, table, list);
				if (++info->value.bufferInfo.maxLength > info->value.integer)
					fxPurgeEntries(the, list, paired);
				return 1;")
set(XS_PATCH_purge_from "void fxPurgeEntries(txMachine* the, txSlot* list) 
{
	txSlot* former = C_NULL;
	txSlot** address = &(list->value.list.first);
	txSlot* slot;
	while ((slot = *address)) {
		if (slot->flag & XS_DONT_ENUM_FLAG) {
			*address = slot->next;
		}
		else {
			former = slot;
			address = &slot->next;
		}
	}
	list->value.list.last = former;
}")
set(XS_PATCH_purge_to "void fxPurgeEntries(txMachine* the, txSlot* list, txBoolean paired)
{
	txSlot** address = &(list->value.list.first);
	txSlot* slot;
	while ((slot = *address)) {
		txSlot* last = paired ? slot->next : slot;
		if ((slot->flag & XS_DONT_ENUM_FLAG) && last->next)
			*address = last->next;
		else
			address = &last->next;
	}
	list->next->value.bufferInfo.maxLength = 0;
}")
set(XS_PATCH_keep_from "	txSlot** address = &(instance->next);
	txSlot* slot;
	while ((slot = *address)) {
		if (slot->value.reference == target)
			return;
		address = &(slot->next);
	}
	*address = slot = fxNewSlot(the);
	slot->value.reference = target;
	slot->kind = XS_REFERENCE_KIND;
}")
set(XS_PATCH_keep_to "	extern txSlot** platform_kept_end(txMachine*, txSlot**, txSlot*);
	extern void platform_kept_last(txMachine*, txSlot*);
	txSlot** address = platform_kept_end(the, &(instance->next), target);
	txSlot* slot;
	if (!address)
		return;
	*address = slot = fxNewSlot(the);
	slot->value.reference = target;
	slot->kind = XS_REFERENCE_KIND;
	platform_kept_last(the, slot);
}")
set(XS_PATCH_cells_new_from "	slot->value = callback->value;
	registry->value.finalizationRegistry.callback = slot;")
set(XS_PATCH_cells_new_to "	slot->value = callback->value;
	slot->value.list.last = C_NULL;
	registry->value.finalizationRegistry.callback = slot;")
set(XS_PATCH_cells_add_from "	address = &(callback->next);
	while ((slot = *address))
		address = &(slot->next);
	slot = *address = fxNewSlot(the);
	if (mxArgc > 1) {
		slot->kind = mxArgv(1)->kind;
		slot->value = mxArgv(1)->value;
	}
	slot = slot->next = fxNewSlot(the);")
set(XS_PATCH_cells_add_to "	address = callback->value.list.last ? &(callback->value.list.last->next) : &(callback->next);
	while ((slot = *address))
		address = &(slot->next);
	slot = *address = fxNewSlot(the);
	if (mxArgc > 1) {
		slot->kind = mxArgv(1)->kind;
		slot->value = mxArgv(1)->value;
	}
	slot = slot->next = fxNewSlot(the);
	callback->value.list.last = slot;")
set(XS_PATCH_cells_unregister_from "			*address = slot->next;
			mxResult->value.boolean = 1;")
set(XS_PATCH_cells_unregister_to "			*address = slot->next;
			callback->value.list.last = C_NULL;
			mxResult->value.boolean = 1;")
set(XS_PATCH_cells_clean_from "					*address = slot->next;
					mxPushUndefined();
					mxPushSlot(callback);")
set(XS_PATCH_cells_clean_to "					*address = slot->next;
					if (registry->value.finalizationRegistry.callback->value.list.last == slot)
						registry->value.finalizationRegistry.callback->value.list.last = C_NULL;
					mxPushUndefined();
					mxPushSlot(callback);")

set(XS_PATCH_stack_from "		char* result = C_NULL;
		pthread_attr_t attrs;")
set(XS_PATCH_stack_to "		static __thread char* result = C_NULL;
		pthread_attr_t attrs;
		extern __thread char* platform_stack_end;
		if (platform_stack_end) return platform_stack_end;
		if (result) return result;")
set(XS_PATCH_not_from "			*current0++ = begin;
			character = end;
		}")
set(XS_PATCH_not_to "			*current0++ = begin;
		}
		character = end;")
set(XS_PATCH_base64_from "	dstSize = (srcSize / 4) * 3;
	if (c_read8(src + srcSize - 1) == '=')
		dstSize--;
	if (c_read8(src + srcSize - 2) == '=')
		dstSize--;")
set(XS_PATCH_base64_to "	dstSize = (srcSize / 4) * 3;")

set(XS_PATCH_organic_from "		fxCollectGarbage(the);
		fxUnlinkChunks(the);")
set(XS_PATCH_organic_to "		fxCollect(the, XS_COMPACT_FLAG | XS_ORGANIC_FLAG);
		fxUnlinkChunks(the);")
set(XS_PATCH_weakly_from "	case XS_FINALIZATION_REGISTRY_KIND:
		aSlot = theSlot->value.finalizationRegistry.callback;
		if (aSlot) {
			fxIndexSlot(the, snapshot, aSlot);")
set(XS_PATCH_weakly_to "	case XS_WEAK_REF_KIND:
		aSlot = theSlot->value.weakRef.target;
		if (aSlot && !(aSlot->flag & XS_MARK_FLAG)) {
			fxCheckCStack(the);
			fxIndexInstance(the, snapshot, aSlot);
		}
		break;
	case XS_FINALIZATION_REGISTRY_KIND:
		aSlot = theSlot->value.finalizationRegistry.callback;
		if (aSlot) {
			fxIndexSlot(the, snapshot, aSlot);")
set(XS_PATCH_deleted_from "	while (key) {
		txU4 sum = fxSumEntry(the, key);")
set(XS_PATCH_deleted_to "	list->next->value.bufferInfo.maxLength = 0;
	while (key) {
		if (key->flag & XS_DONT_ENUM_FLAG) {
			list->next->value.bufferInfo.maxLength++;
			key = paired ? key->next->next : key->next;
			continue;
		}
		txU4 sum = fxSumEntry(the, key);")
set(XS_PATCH_unknown_from "		fxReport(the, \"# snapshot: invalid slot %d!\\n\", slot->kind);
		break;")
set(XS_PATCH_unknown_to "		mxThrowIf(C_EINVAL);
		break;")

set(XS_PATCH_order_from "		projection->indexes[slot - heap] = snapshot->slotSize;
			snapshot->slotSize++;")
set(XS_PATCH_order_to "		projection->indexes[slot - heap] = 0;
			snapshot->slotSize++;")
set(XS_PATCH_order_oldest_from "		*projectionAddress = projection;
		projectionAddress = &projection->nextProjection;
		heap = heap->next;")
set(XS_PATCH_order_oldest_to "		projection->nextProjection = snapshot->firstProjection;
		snapshot->firstProjection = projection;
		heap = heap->next;")
set(XS_PATCH_order_given_from "	projection = snapshot->firstProjection;
	while (projection) {
		heap = projection->heap;
		limit = projection->limit;
		slot = heap + 1;
		indexAddress = &projection->indexes[1];
		while (slot < limit) {
			if (slot->flag & XS_MARK_FLAG) {
				slot->flag &= ~XS_MARK_FLAG; 
				snapshot->slots[*indexAddress] = slot;
			}")
set(XS_PATCH_order_given_to "	snapshot->slotSize = 1;
	projection = snapshot->firstProjection;
	while (projection) {
		heap = projection->heap;
		limit = projection->limit;
		slot = heap + 1;
		indexAddress = &projection->indexes[1];
		while (slot < limit) {
			if (slot->flag & XS_MARK_FLAG) {
				slot->flag &= ~XS_MARK_FLAG;
				*indexAddress = snapshot->slotSize++;
				snapshot->slots[*indexAddress] = slot;
			}")
set(XS_PATCH_deep_from "	txSlot* aProperty;
	txSlot* aTemporary;

	mxCheck(the, theCurrent->kind == XS_INSTANCE_KIND);
	aProperty = theCurrent;")
set(XS_PATCH_deep_to "	txSlot* aProperty;
	txSlot* aTemporary;
	extern int platform_goes_deep(txMachine*, void (*)(void*, void*, void*), void*, void*);
	if ((char*)__builtin_frame_address(0) < the->stackLimit + (64 * 1024)
		&& platform_goes_deep(the, (void*)fxMarkInstance, theCurrent, theMarker))
		return;
	mxCheck(the, theCurrent->kind == XS_INSTANCE_KIND);
	aProperty = theCurrent;")
set(XS_PATCH_deep_index_from "${XS_PATCH_deep_from}")
string(REPLACE "(void*)fxMarkInstance, theCurrent, theMarker" "(void*)fxIndexInstance, snapshot, theCurrent"
  XS_PATCH_deep_index_to "${XS_PATCH_deep_to}")

function(xs_patch from to)
  file(READ ${from} text)
  foreach(patch ${ARGN})
    string(FIND "${text}" "${XS_PATCH_${patch}_from}" first)
    string(FIND "${text}" "${XS_PATCH_${patch}_from}" last REVERSE)
    if(first EQUAL -1 OR NOT first EQUAL last)
      message(FATAL_ERROR "${from} is not the file that patch_xs.cmake knows (${patch})")
    endif()
    string(REPLACE "${XS_PATCH_${patch}_from}" "${XS_PATCH_${patch}_to}" text "${text}")
  endforeach()
  file(CONFIGURE OUTPUT ${to} CONTENT "@text@" @ONLY)
endfunction()
