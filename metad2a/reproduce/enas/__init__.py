"""ENAS (Pham, Guan, Zoph, Le, Dean, 2018): children with shared weights."""
