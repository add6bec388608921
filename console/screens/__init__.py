"""The screens. They are given snapshots and draw them; none of them reads or writes anything."""
