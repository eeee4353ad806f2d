(* /etc/sanlock/sanlock.conf, as the sanlock daemon reads it. It has a grammar of its own: nothing
   is quoted, and a line that is no setting is passed over in silence.

   How a line looks in the tree:

     use_watchdog = 1 # why       { "use_watchdog" = "1" }   the first word after '=', no more
     # text                       { "#comment" = "text" }    '#' in the first column alone
     (blanks)                     { "#empty" }
      use_watchdog = 0            { "#ignored" = " use_watchdog = 0" }  a blank before it
     use_watchdog                 { "#ignored" = "use_watchdog" }       no '=', or no value

   The daemon reads 127 bytes of a line and takes what follows for another one: no lens can see
   that, lockcfg's reader does. *)

module Lockcfg_sanlock =

let eol   = del /\n/ "\n"
let name  = /[A-Za-z_][A-Za-z0-9_]*/
let word  = /[^ \t\r\n]+/

let comment = [ label "#comment" . del /#[ \t]*/ "# " . (store /[^ \t\n][^\n]*/)? . eol ]
let empty   = [ label "#empty" . del /[ \t\r]*\n/ "\n" ]

(* Whatever is between the name and '=' is passed over. *)
let equals = del /([ \t][^=\n]*)?=[ \t\r]*/ " = "
let entry  = [ key name . equals . store word . del /([ \t\r][^\n]*)?/ "" . eol ]

(* A blank first; what is no name first; a name and then neither a blank nor '='; a name and no
   '='; a name, '=' and no value. *)
let ignored = [ label "#ignored" . store ( /[ \t\r]+[^ \t\r\n][^\n]*/
                                         | /[^A-Za-z_# \t\r\n][^\n]*/
                                         | name . /[^A-Za-z0-9_= \t\n][^\n]*/
                                         | name . /([ \t][^=\n]*)?/
                                         | name . /([ \t][^=\n]*)?=[ \t\r]*/ ) . eol ]

let lns = (comment | empty | entry | ignored)*

let filter = incl "/etc/sanlock/sanlock.conf"

let xfm = transform lns filter
