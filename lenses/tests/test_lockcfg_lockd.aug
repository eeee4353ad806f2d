(* lockd.conf: the grammar is tested in Test_lockcfg_conf. *)

module Test_lockcfg_lockd =

let conf = "on_lockfailure = \"pause\"
on_lockfailure_in = [ \"/srv/locks=kill\" ]
#lockfailure_deadline = 30
"

test Lockcfg_lockd.lns get conf =
  { "on_lockfailure" = "pause" }
  { "on_lockfailure_in" { "1" = "/srv/locks=kill" } }
  { "#comment" = "lockfailure_deadline = 30" }

test Lockcfg_lockd.lns put conf after
  set "/on_lockfailure" "report";
  set "/lockfailure_deadline" "20" =
"on_lockfailure = \"report\"
on_lockfailure_in = [ \"/srv/locks=kill\" ]
#lockfailure_deadline = 30
lockfailure_deadline = 20
"
