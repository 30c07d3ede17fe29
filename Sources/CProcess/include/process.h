#ifndef SWIFTWATER_PROCESS_H
#define SWIFTWATER_PROCESS_H

/* Gives pages of the program's own code and constants back to the system, those of its libraries among them.
 *
 * A start touches far more of them than what comes after it: the loader, registrations, parsers, planners. They stay mapped and count as
 * resident for as long as the process lives, though nobody uses them. What is used again comes back from the page cache, by a page fault
 * that reads nothing from the disk unless memory has been short.
 *
 * Only segments that nothing may write to are taken: what the loader has relocated, and all data, stays. Libraries whose code was relocated
 * (DT_TEXTREL) are left alone, as their pages are copies that the file does not have. May be called at any time from any thread. */
void process_give_back_code(void);

/* Has the allocator give free pages back. */
void process_give_back_heap(void);

/* Whether systemd, or whoever else made a control group, has handed its folder over to the one who runs in it. */
int process_group_is_delegated(const char *directory);

#endif
