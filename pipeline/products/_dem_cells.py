"""Which cells of one degree hold land: what tells an absent tile of the open sea (0 m) from one that is missing.

A cell has land where the Copernicus DEM has a tile: 26,475 of 64,800. The 25 cells of Armenia and Azerbaijan that the
public GLO-30 leaves out are among them, since GLO-90 has those; so is every cell with a rock that the DEM shows.
Source: the list of public GLO-90 tiles in dem-stitcher 3.2.0 (Apache-2.0, github.com/ACCESS-Cloud-Based-InSAR), which
follows `tileList.txt` of the bucket copernicus-dem-90m.
"""

from __future__ import annotations

import base64
import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_PACKED = (
    "c-rlm&5Iq!5x{F+KkYo3mFI~pWFgAVgBbf_@CzG=jm6Fe9da=wxy2C7%Ri7v5S(?i(Trtdi9{raTzs=a4uPC>bS~ByL6n0)ItCoru?Z-FfJWJb?a"
    "hv+Qr$ECIWteYhuqYM<<0DGx~r?ItE#&ZpS5SLzm*Uj9|mCe?dN>><MTj`SuZMj9)fd_bYcwzkPJ%Pw8;K?2(Cc41goSSYIuICMU@a9{7Lk~4b=Q"
    "tE;A@d$&}#zB_dPHNp9;g5)-W)&E>8fo>Z7eM&KM^7#4HZN~P(8*U<f1Olgi4*?A7#mXzIh=V72l6&$~v2nIX}3=y2H<tKr+{||5=|76FUUB0B_n"
    "QuT25N2wKr@$$JFFJ2lmzae4Y8wxKh^#n)v9J1XY|Sh@xT7^^q>&33%S`X71DA@t9xPc^3+76-wY2AvXEInnz8J9!r{y3?UJ$t!OZhU`vsgO3UZV"
    "^Gx2vS?wUrc@G}90Fw673+#f7`-*tTNCmIs&Mxqb@=qMKg0r=1b-jyntdTQ6GBe+a(l!Fq<Qa>BM8(=p0gWHM5SHk|bcNN}cM(@%gLk^501LXCu$"
    "76X|lrpJSs%4{<aF7(gRho>ExORX5=384+It5vZacGvEDXy9ZR-qvrqhHG%D5d)vqaIIks%ATG_*~_M9rH&4KNI#}xe&4m;mKr|IZTKJXPWA>ow;"
    "lYY3#W)@`P71O&fyJMfk|$|Ou+$Pv&{WP@Nc*`TY*g*=DPBMYCP34VfOV8!avQfLs)iT(b>C|rRW;iYM4V7CfnL<N<{+R*YGC6e;iFjNV<~hAk)G"
    "l2_M#h@uYe|2L1)WxBg?QFB|4pX4;{v-EDXk79|A#+P0lsf5$geC#R6_0>Njq%v%u#eoH5~pYk2QPLfVuYxwY<{57F}Fiv4$vI<wlQx~SW9<C{P#"
    "Q4s}I_2Kcd`$&}&?-*}=4U5umW{JNU#eCX0c0<Z0|(BO80DrK^00uTYHJz<<QuBOh^%TowW?aOc6h++re+Mlg~x5ra9z$P#2=?Gky}x>P7pOcOE{"
    "M+I>b+Y|2y2zWm%B9aHdpV(xMOxKlwxYn}>Kbg~_SR1f|4iL&2i$vfCln=>yVBZs1s2aIRF&+pvPSF-5-RRTQ#kuC-WMPJj<NI0?2$j7`2{Y{_ce"
    "Lre<cNro?s@53uCOj-=9bT8)g<As?O8YSF@jhEU%NL%3%;_X>msi;CB$RY!Oxz+es!u6rVa=WSswMiN`DP+$v?iFvUh^ReOj-6YUFB|ya*ZB`s&q"
    "nI6Df?|L(pHNEZ#=%nFJ+Bm8=Fj+(p=hXd;~m!jgnPG2IC8>nVo`|GKtwut)7GL6~UuoHvj(4DW|?lTalRqU&zJ}i&^~U;<UGEYeZHsS!G<o-Cuo"
    "mzj)!7KZDEu;<lDoV?qwsKDm$<?0uNLZP#!tYhi1rcBX`D$$Lp57SoU10xSK@xGJ?+!grH9v6#x}Cr-*N;;Rmv7w{zxcQKc+TR`G1XsS;IlO7p|h"
    "qQytEIYSO{-9ax>xr2l!QYnf*e&B<$9wRc_;F6}(lc^q_$EGhOBMen2G>~=8NQ*!Ah!!^T5KOu>|Jq-P2}%gmn&)B!UrUDD9R&v-fS!6q<%nUK-e"
    "y-7JfvJ5oT#!7`O?GYYFGCBRHy)aDjEXB4HtLTdXIKtEjYt4XtS*aEZA1Km_u(;BH*5_&I*;z{1{g5!6O$O(<ANi{I9zBgSoln_o9{CTeuILV7wX"
    "JejeHM)+5^WB7>RH22O?D&^Uq!nRb$hpM-N_7--!sHGr{#@}rgpK_(kqGt!DmMV{WtugdOFR2pV)*t%kAm`wwwHFxE=d+7ez8CFC!S(a*j#88iDm"
    "{%-ujhK~IkO3h#-TMFI=jfgInE*Yi33N@W;{eIiOdOp%&pU;D*Du|_Dx=ZX)K~ZU|{~rQ3tjPeuNF{D2}JtO|GWk$D6SY?>bxI)PiRaKf+tK`s&@"
    "i%#Dc}o<m$F+|dR)8%OJ`kF=CjtCbD^liTM4fd!u?7;nTje87XE1M7nS@P_9}LAU2xEAq?}*WST{4qRzPQaZk7pLu>>bzr=dDXs5eW{X|cUAWGSj"
    "qci-=4ls33x4Fx@bjVzf8?$eGsBBJT^PMb-7c=WC99an;KAtMSM2RtGuo9lmUZBdndhOpoa*WM7SsFxJr};*cic)jBQBi@al3@@;RAU%$$Xf1VJc"
    "iHd2t&q+Y^-7hi?Wom38nWQ;~2_l}K?Bm7Y-`pq&cLl0~aI9;@{o<<WmVcp8ZREof)e3|d6Wp<}8vJymDTDQL=DSD<ey)pP2@#jD~lk3{&a_52uj"
    "nnV{CJqO$I7r-JrLza-pDV75V{bupVLktP80#?0;=9}h2(Yw_2>c9~@>{|~B<+2h)R_?zTh@961SMr$s=~p555y|kmfZ5aUR%jslD^9EjVC(gM0}"
    "tOgl#X;IQ=Zp++qs-@)E=oICT>6?*0GAzE<uUDFc7;{p+mqsj^bDaB2GumpjD$Xxq8TytYVJ+m=ia0NbICVJsJI%evknd25sNUzFHvoj+~iZh;m3"
    "0WwRY|zw{DN)plg%aCxgz$r~a+TO}qBov-A8(uKuMNqKMHjbEzgrY9yBNA4dOW8%Qflq%SBU*W?zhlpmGGweB8job^W#tBi_w)X(Gb3-Lh5&K~ny"
    "3HCm+(qXU?pa&j{s-k#)RF"
)
"""Bits from 90 S 180 W eastward, then northward: packed, zlib, base 85."""


@lru_cache(maxsize=1)
def land_cells() -> NDArray[np.bool_]:
    """(180, 360): [latitude + 90, longitude + 180] of a cell's south-western corner; read-only."""
    bits = np.frombuffer(zlib.decompress(base64.b85decode(_PACKED)), np.uint8)
    cells = np.unpackbits(bits).astype(np.bool_).reshape(180, 360)
    cells.flags.writeable = False
    return cells


def has_land(south: int, west: int) -> bool:
    """Whether the cell with this corner, in whole degrees, holds land; longitudes go round."""
    return bool(land_cells()[south + 90, (west + 180) % 360])


def cell_name(south: int, west: int) -> str:
    """As in the names of Copernicus' files: N05W072."""
    west = (west + 180) % 360 - 180
    return f"{'S' if south < 0 else 'N'}{abs(south):02d}{'W' if west < 0 else 'E'}{abs(west):03d}"
