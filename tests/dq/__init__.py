"""Messages over beanstalkd, against a fake one."""
