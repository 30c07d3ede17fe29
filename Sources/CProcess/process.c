#if defined(__linux__)
#define _GNU_SOURCE
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "process.h"

static int is_relocated(const struct dl_phdr_info *object) {
    for (int i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
        const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
        for (; entry->d_tag != DT_NULL; entry++)
            if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL))) return 1;
    }
    return 0;
}

static int give_back(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size;
    (void)context;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    /* The kernel's own object has no file behind it; madvise refuses it. */
    if (is_relocated(object)) return 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W)) continue;
        uintptr_t begin = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
        uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_memsz) & ~(page - 1);
        if (end > begin) (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
    return 0;
}

void process_give_back_code(void) { dl_iterate_phdr(give_back, 0); }

void process_give_back_heap(void) {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

int process_group_is_delegated(const char *directory) {
    char value = 0;
    return (getxattr(directory, "user.delegate", &value, 1) == 1 && value == '1') || (getxattr(directory, "trusted.delegate", &value, 1) == 1 && value == '1');
}
#else
#include "process.h"

void process_give_back_code(void) {}
void process_give_back_heap(void) {}

int process_group_is_delegated(const char *directory) {
    (void)directory;
    return 0;
}
#endif
