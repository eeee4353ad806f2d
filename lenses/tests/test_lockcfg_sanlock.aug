(* sanlock.conf: each way in which a line can be read. *)

module Test_lockcfg_sanlock =

let conf = "# sanlock config file
#
use_watchdog=1
mlock_level = 2 # current and future
 use_watchdog = 0
use_watchdog: 0
use_watchdog
uname =
\t
= 5
our_host_name\t=\tkvm01
quiet_fail 1 = 0
"

test Lockcfg_sanlock.lns get conf =
  { "#comment" = "sanlock config file" }
  { "#comment" }
  { "use_watchdog" = "1" }
  { "mlock_level" = "2" }
  { "#ignored" = " use_watchdog = 0" }
  { "#ignored" = "use_watchdog: 0" }
  { "#ignored" = "use_watchdog" }
  { "#ignored" = "uname =" }
  { "#empty" }
  { "#ignored" = "= 5" }
  { "our_host_name" = "kvm01" }
  { "quiet_fail" = "0" }

test Lockcfg_sanlock.lns put conf after
  set "/use_watchdog" "0";
  rm "/our_host_name" =
"# sanlock config file
#
use_watchdog=0
mlock_level = 2 # current and future
 use_watchdog = 0
use_watchdog: 0
use_watchdog
uname =
\t
= 5
quiet_fail 1 = 0
"

test Lockcfg_sanlock.lns put "" after
  set "/use_watchdog" "1" =
"use_watchdog = 1\n"
