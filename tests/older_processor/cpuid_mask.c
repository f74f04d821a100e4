/* Answers CPUID as a processor with AVX2 and FMA but without AVX-512, VNNI, BF16 or AMX would.
 *
 * Loaded by LD_PRELOAD beside copies of libraries in which build.py replaced each `cpuid` by `int3; nop`. The trap runs the real
 * instruction and clears the bits (Intel SDM, volume 2A, CPUID, leaf 7), so those libraries choose the kernels that such a
 * processor has, at its full speed and with its arithmetic. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <ucontext.h>

#define BIT(n) (1u << (n))

/* Leaf 7, subleaf 0. */
static const unsigned EBX_7_0 = BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31); /* AVX-512 */
static const unsigned ECX_7_0 = BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14); /* VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ */
static const unsigned EDX_7_0 = BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25); /* 4VNNIW .. AMX, FP16 */
/* Leaf 7, subleaf 1. */
static const unsigned EAX_7_1 = BIT(4) | BIT(5) | BIT(21) | BIT(23); /* AVX-VNNI, AVX512-BF16, AMX-FP16, AVX-IFMA */
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
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTRAP, &action, 0);
}
