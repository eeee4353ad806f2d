(* qemu.conf: the grammar is tested in Test_lockcfg_conf. *)

module Test_lockcfg_qemu =

let conf = "# Which lock manager the driver uses.
#
#lock_manager = \"lockd\"

security_driver = [ \"selinux\", \"none\", ]
max_core = \"unlimited\"  # or a number of bytes
user = '+0'
"

test Lockcfg_qemu.lns get conf =
  { "#comment" = "Which lock manager the driver uses." }
  { "#comment" }
  { "#comment" = "lock_manager = \"lockd\"" }
  { "#empty" }
  { "security_driver" { "1" = "selinux" } { "2" = "none" } }
  { "max_core" = "unlimited" { "#comment" = "or a number of bytes" } }
  { "user" = "'+0'" }

test Lockcfg_qemu.lns put conf after set "/lock_manager" "lockd" =
"# Which lock manager the driver uses.
#
#lock_manager = \"lockd\"

security_driver = [ \"selinux\", \"none\", ]
max_core = \"unlimited\"  # or a number of bytes
user = '+0'
lock_manager = \"lockd\"
"

test Lockcfg_qemu.lns put conf after insa "lock_manager" "/#comment[3]"; set "/lock_manager" "lockd" =
"# Which lock manager the driver uses.
#
#lock_manager = \"lockd\"
lock_manager = \"lockd\"

security_driver = [ \"selinux\", \"none\", ]
max_core = \"unlimited\"  # or a number of bytes
user = '+0'
"
