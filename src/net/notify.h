/*
 * notify - tells a service manager how we are (sd_notify protocol)
 *
 * Does nothing unless NOTIFY_SOCKET is set. Threads: any. Failures are ignored.
 */
#pragma once
#include "base/str.h"

/* "READY=1", "STOPPING=1", "RELOADING=1", "STATUS=…" */
void notify_service_manager(struct str state);
