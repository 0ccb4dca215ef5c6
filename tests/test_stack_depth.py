"""Worst-case stack from C and the compiler's report of frames."""

from __future__ import annotations

from edgecomp.stack_depth import SUPPORT_STACK_BYTES, calls_of, worst_stack

HEADER = """
#define LEAF(x) leaf(x)
static inline int one_line(int x) { return x + 1; }
EC_NOINLINE int leaf(int x) {
  return one_line(x);
}
EC_INLINE int middle(const struct s *p,
                     int x) {
  if (x) {
    return leaf(x);
  }
  return 0;
}
EC_NOINLINE int other(int x) {
  return x;
}
"""
SOURCE = """
EC_KERNEL void m_first(const int8_t *restrict p0) {
  middle(p0, 1);
}
EC_KERNEL void m_second(void) {
  other(2);
}
EC_EXPORT void m_run(void *arena) {
  m_first(arena);
  m_second();
}
"""
REPORT = "\n".join(
    f"m.c:1:1:{name}\t{size}\tstatic"
    for name, size in (
        ("m_run", 8),
        ("m_first", 16),
        ("m_second", 20),
        ("leaf", 100),
        ("leaf.specialized.1", 104),
        ("other", 90),
    )
)


def test_calls_are_read_from_the_text() -> None:
    calls = calls_of([HEADER, SOURCE])
    assert calls["m_run"] == {"m_first", "m_second"}
    assert calls["middle"] == {"leaf"}


def test_the_deepest_path_counts() -> None:
    expected = 8 + 16 + 104 + SUPPORT_STACK_BYTES
    assert worst_stack("m_run", [HEADER, SOURCE], REPORT) == expected
