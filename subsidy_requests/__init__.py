"""Learners ask their enterprise for a licence or a coupon code; an administrator approves; one mail says so."""
