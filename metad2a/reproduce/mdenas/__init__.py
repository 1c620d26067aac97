"""MDENAS (Zheng, Ji, Tang, Zhang, Liu, Tian, 2019): a multinomial learns from short trainings."""
