(* virtlockd.conf: the grammar is tested in Test_lockcfg_conf. *)

module Test_lockcfg_virtlockd =

let conf = "log_level = 3
log_filters=\"3:remote 4:event\"
log_outputs = '3:syslog:virtlockd'
#max_clients = 1024
"

test Lockcfg_virtlockd.lns get conf =
  { "log_level" = "3" }
  { "log_filters" = "3:remote 4:event" }
  { "log_outputs" = "'3:syslog:virtlockd'" }
  { "#comment" = "max_clients = 1024" }

test Lockcfg_virtlockd.lns put conf after
  set "/log_filters" "1:locking";
  set "/max_clients" "4096" =
"log_level = 3
log_filters=\"1:locking\"
log_outputs = '3:syslog:virtlockd'
#max_clients = 1024
max_clients = 4096
"
