"""The pages a mail's links lead to, and the outbox for who runs the site."""
