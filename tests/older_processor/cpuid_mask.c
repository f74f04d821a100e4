/* Answers CPUID as a lesser processor would: with AVX2 and FMA alone (EDGESEG_PROCESSOR=avx2, the default), with AVX-VNNI beside
 * them (avx-vnni), or with AVX-512 but no VNNI, BF16 or AMX (avx512).
 *
 * Loaded by LD_PRELOAD beside copies of libraries in which build.py replaced each `cpuid` by `int3; nop`. The trap runs the real
 * instruction and clears the bits (Intel SDM, volume 2A, CPUID, leaf 7), so those libraries choose the kernels that such a
 * processor has, at its full speed and with its arithmetic. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define BIT(n) (1u << (n))

/* Leaf 7, subleaf 0. */
static unsigned EBX_7_0 = BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31); /* AVX-512 */
static unsigned ECX_7_0 = BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14); /* VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ */
static const unsigned EDX_7_0 = BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25); /* 4VNNIW .. AMX, FP16 */
/* Leaf 7, subleaf 1. */
static unsigned EAX_7_1 = BIT(4) | BIT(5) | BIT(21) | BIT(23); /* AVX-VNNI, AVX512-BF16, AMX-FP16, AVX-IFMA */
static const unsigned EDX_7_1 = BIT(4) | BIT(5) | BIT(8) | BIT(10) | BIT(19); /* AVX-VNNI-INT8, AVX-NE-CONVERT, AMX, INT16, AVX10 */

static void answer(int signal, siginfo_t *information, void *context) {
    (void)signal, (void)information;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    unsigned leaf = registers[REG_RAX], subleaf = registers[REG_RCX], a, b, c, d;
    __cpuid_count(leaf, subleaf, a, b, c, d);
    if (leaf == 7 && subleaf == 0)
        b &= ~EBX_7_0, c &= ~ECX_7_0, d &= ~EDX_7_0;
    if (leaf == 7 && subleaf == 1)
        a &= ~EAX_7_1, d &= ~EDX_7_1;
    registers[REG_RAX] = a, registers[REG_RBX] = b, registers[REG_RCX] = c, registers[REG_RDX] = d;
}

__attribute__((constructor)) static void install(void) {
    const char *processor = getenv("EDGESEG_PROCESSOR");
    if (processor && !strcmp(processor, "avx-vnni"))
        EAX_7_1 &= ~BIT(4);
    if (processor && !strcmp(processor, "avx512"))
        EBX_7_0 = 0, ECX_7_0 = BIT(11);
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTRAP, &action, 0);
}
