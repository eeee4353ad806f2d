(* libxl.conf: the grammar is tested in Test_lockcfg_conf. *)

module Test_lockcfg_libxl =

let conf = "#autoballoon = 1
autoballoon = \"auto\"
keepalive_interval = 5; keepalive_count = 5
"

test Lockcfg_libxl.lns get conf =
  { "#comment" = "autoballoon = 1" }
  { "autoballoon" = "auto" }
  { "keepalive_interval" = "5" }
  { "keepalive_count" = "5" }

test Lockcfg_libxl.lns put conf after
  set "/keepalive_interval" "-1";
  set "/lock_manager" "lockd" =
"#autoballoon = 1
autoballoon = \"auto\"
keepalive_interval = -1; keepalive_count = 5
lock_manager = \"lockd\"
"
